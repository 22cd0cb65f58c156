#!/usr/bin/env python3
"""Runs what the Dockerfiles describe, on machines that have no container engine.

run.py PROGRAM BINARY LAB: assembles the file system of each last stage of images/PROGRAM/Dockerfile around the static BINARY, and runs it as Kubernetes would: read-only,
as a user without rights, with a network of its own, beside a Kubernetes API (LAB: the command `kubectl-flagger`). Probes, signals and the user are looked at.

What an image takes from others cannot be had here: Alpine's tools are stood in for by Debian's static busybox (the same program), certificates by those of this
machine, and `apk add` brings nothing else. Needs root (or the right to make namespaces), Debian's packages, iproute2.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[2]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# As the charts set it: not the user of the image.
USER = 10001


def stages(dockerfile):
    """The stages by name: base and lines, continued ones joined."""
    text = re.sub(r"\\\n", " ", dockerfile.read_text())
    found, order = {}, []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            base, name = re.fullmatch(r"(?:--platform=\S+ )?(\S+) AS (\S+)", rest).groups()
            found[name] = (base, [])
            order.append(name)
        else:
            found[order[-1]][1].append((word, rest))
    return found, order


def busybox():
    cache = pathlib.Path(os.environ.get("BUSYBOX_CACHE", pathlib.Path.home() / ".cache/busybox-package"))
    binary = cache / "bin/busybox"
    if not binary.exists():
        cache.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["apt-get", "download", "busybox-static"], cwd=cache, check=False).returncode:
            subprocess.run(["apt-get", "update"], check=True)
            subprocess.run(["apt-get", "download", "busybox-static"], cwd=cache, check=True)
        subprocess.run(["dpkg", "-x", next(cache.glob("*.deb")), cache], check=True)
    return binary


def with_libraries(program, root, place):
    """Copies a program of this machine, and the libraries that it is linked to."""
    (root / place).unlink(missing_ok=True)
    shutil.copy(program, root / place)
    linked = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+) \(0x", linked):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def assemble(found, name, root, binary):
    """Writes a stage's files; returns working directory and entry point."""
    base, lines = found[name]
    if base in found:
        workdir, entry = assemble(found, base, root, binary)
    else:
        workdir, entry = "/", None
        if base != "scratch":
            assert "alpine" in base, base
            (root / "bin").mkdir()
            shutil.copy(busybox(), root / "bin/busybox")
            subprocess.run(["chroot", root, "/bin/busybox", "--install", "-s", "/bin"], check=True)
            # Alpine's knows --timeout, Debian's does not.
            with_libraries(shutil.which("wget"), root, "bin/wget")
    for word, rest in lines:
        if word == "COPY":
            source, target = rest.split()[-2:]
            origin = re.match(r"--from=(\S+)", rest)
            origin = origin and origin.group(1)
            if origin == "build":
                source = binary
            elif origin == "certificates":
                source = CERTIFICATES
            elif origin:
                print(f"  left out: {rest}")
                continue
            else:
                source = ROOT / source
            target = root / target.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        elif word == "RUN":
            for command in rest.split("&&"):
                command = command.split()
                if command[0] == "ln":
                    link = root / command[3].lstrip("/")
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(command[2])
                elif command[:2] == ["apk", "add"]:
                    if "ca-certificates" in command:
                        target = root / CERTIFICATES.lstrip("/")
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy(CERTIFICATES, target)
                    print(f"  left out: {' '.join(command)}")
                else:
                    assert command[0] in ("addgroup", "adduser"), command
        elif word == "WORKDIR":
            workdir = rest
            (root / workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "ENTRYPOINT":
            entry = re.findall(r'"([^"]+)"', rest)
        else:
            assert word in ("USER", "ARG", "ENV"), word
            assert word != "USER" or re.fullmatch(r"\d+:\d+", rest), "Kubernetes cannot tell that a user by name is not root"
    return workdir, entry


def outside(program, binary, lab):
    readelf = subprocess.run(["readelf", "-lh", binary], check=True, capture_output=True, text=True).stdout
    assert "INTERP" not in readelf, "it is not static"
    found, order = stages(ROOT / "images" / program / "Dockerfile")
    for name in order[-2:]:
        print(f"{program}, stage {name}")
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory) / "root"
            root.mkdir()
            workdir, entry = assemble(found, name, root, binary)
            for place in ("proc", "dev", "etc"):
                (root / place).mkdir(exist_ok=True)
            (root / "kubeconfig").touch()
            # Pods get these from the kubelet.
            (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
            inside = [sys.executable, HERE, "inside", root, workdir, program, *entry]
            command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", lab, "lab", "--", *inside]
            subprocess.run([str(word) for word in command], check=True, timeout=120)


def inside(root, workdir, program, entry):
    """Within the namespaces: mounts, then the program."""
    def mount(*words):
        subprocess.run(["mount", *words], check=True)

    mount("--bind", root, root)
    mount("--bind", "/dev", f"{root}/dev")
    mount("-t", "proc", "proc", f"{root}/proc")
    config = pathlib.Path(root, "kubeconfig")
    config.write_text(pathlib.Path(os.environ["KUBECONFIG"]).read_text())
    config.chmod(0o444)
    mount("-o", "remount,bind,ro", root)

    def confine():
        os.chroot(root)
        os.chdir(workdir)
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)

    def start(command, **settings):
        return subprocess.Popen(command, preexec_fn=confine, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": workdir}, **settings)

    def run(*command):
        done = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        text, _ = done.communicate(timeout=30)
        return done.returncode, text

    if program == "flagger":
        code, text = run(*entry, "-version")
        assert code == 0 and text.startswith("Flagger version 1.44.0 revision  "), (code, text)
        arguments = ["-kubeconfig=/kubeconfig", "-log-level=info", "-metrics-server=http://localhost:1"]
    else:
        arguments = ["-port=8080", "-log-level=info", "-timeout=1h"]
    process = start([*entry, *arguments])
    try:
        probes = [[*entry, "healthcheck"]]
        if os.path.exists(f"{root}/bin/busybox"):
            # Word for word what manifests written for the reference ask.
            probes.append(["wget", "--quiet", "--tries=1", "--timeout=4", "--spider", "http://localhost:8080/healthz"])
            code, text = run("sh", "-c", "echo > /file")
            assert code != 0 and "Read-only" in text, text
        for probe in probes:
            deadline = time.monotonic() + 60
            while run(*probe)[0]:
                assert process.poll() is None, f"it ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{probe} does not succeed"
                time.sleep(0.1)
            print("  probe:", " ".join(probe))
        status = pathlib.Path(f"{root}/proc/{process.pid}/status").read_text()
        assert re.search(rf"^Uid:\s+{USER}\s+{USER}", status, re.M), status
        if program == "loadtester":
            for generator in ("hey", "ghz"):
                if os.path.exists(f"{root}/bin/busybox"):
                    code, text = run("sh", "-c", f"{generator} -n 3 -c 1 http://localhost:8080/healthz" if generator == "hey" else "ghz --version")
                    assert code == 0, text
            print("  generators answer")
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=70)
    assert code == 0, f"it ended with {code}"
    for probe in probes:
        assert run(*probe)[0], f"{probe} succeeds although nothing serves"


if __name__ == "__main__":
    if sys.argv[1] == "inside":
        inside(*sys.argv[2:5], sys.argv[5:])
    else:
        outside(*sys.argv[1:4])
        print("all probes succeeded")
