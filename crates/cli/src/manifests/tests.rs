//! What is read, what is refused, and where it is said to stand.

use super::*;
use serde_json::json;

fn text(content: &str) -> (Vec<Manifest>, Vec<Problem>) {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    let text = files::Text { name: "shop.yaml".to_owned(), content: content.to_owned() };
    take_text(&text, &mut manifests, &mut problems);
    problems.extend(twins(&manifests));
    (manifests, problems)
}

fn problem(content: &str) -> String {
    let (_, problems) = text(content);
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const TWO: &str = "# first\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n    x.y/z: on\ndata:\n  list: [1,\n    two]\n---\n---\nkind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n- apiVersion: apps/v1\n  kind: Deployment\n  metadata:\n    name: c\n  spec:\n    containers:\n    - name: one\n    - name: two\n      image: x\n";

#[test]
fn every_field_has_its_line() {
    let (manifests, problems) = text(TWO);
    assert_eq!(problems, []);
    let names: Vec<(&str, usize, usize)> =
        manifests.iter().map(|one| (one.name(), one.source.document, one.source.line)).collect();
    assert_eq!(names, [("a", 1, 3), ("b", 3, 17), ("c", 3, 18)]);
    let [first, _, third] = manifests.as_slice() else { panic!("{manifests:?}") };
    assert_eq!(first.object.pointer("/data/list"), Some(&json!([1, "two"])));
    for (path, line) in [
        ("", 3),
        ("metadata.annotations[x.y/z]", 8),
        ("metadata.annotations.x.y/z", 8),
        ("/metadata/annotations/x.y~1z", 8),
        ("data.list[1]", 11),
        ("/data/list/1", 11),
        ("data.missing.deeper", 9),
        ("spec.none", 3),
    ] {
        assert_eq!(first.line_of(path), line, "{path}");
    }
    assert_eq!(third.position("spec.containers[1].image"), (26, 7));
}

#[test]
fn anchors_and_merge_keys_are_followed() {
    let (manifests, problems) = text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\np: &x {k: 1, l: 2}\nq: {<<: *x, k: 3}\nr: [*x]\n1: one\nyes: no\n",
    );
    assert_eq!(problems, []);
    let object = &manifests.first().unwrap().object;
    assert_eq!(object.get("q"), Some(&json!({"k": 3, "l": 2})));
    assert_eq!(object.get("r"), Some(&json!([{"k": 1, "l": 2}])));
    assert_eq!(object.get("1"), Some(&json!("one")));
    assert_eq!(object.get("true"), Some(&json!(false)));
}

#[test]
fn what_is_no_yaml_is_told_with_line_and_column() {
    let head = "apiVersion: v1\nkind: ConfigMap\n";
    let said = problem(&format!("{head}metadata:\n\tname: a\n"));
    assert!(said.starts_with("shop.yaml:4:"), "{said}");
    assert!(said.ends_with("; indent with spaces: YAML knows no tabs"), "{said}");
    let said = problem(&format!("{head}metadata:\n  name: a\n  labels: x: y\n"));
    assert!(said.starts_with("shop.yaml:5:"), "{said}");
    let said = problem("{{ if .Values.on }}\napiVersion: v1\n");
    assert!(said.contains("template"), "{said}");
    assert_eq!(
        problem(&format!("{head}metadata: {{name: a}}\nkind: Secret\n")),
        "shop.yaml:4: the key `kind` stands here and in line 2; only one of them would count; take the other away"
    );
    assert!(problem("a: *b\n").contains("anchor"), "unknown anchor");
    assert!(problem("a: {x: .inf}\n").contains("finite"));
}

#[test]
fn what_is_no_object_is_told() {
    for (content, said) in [
        (
            "replicas: 3\n",
            "shop.yaml:1: this is no Kubernetes object: it has neither apiVersion nor kind; take it out of the folder, or name the manifests one by one with -f",
        ),
        (
            "just words\n",
            "shop.yaml:1: this is no Kubernetes object but a single value or a list; take it out of the folder, or name the manifests one by one with -f",
        ),
        ("kind: Pod\n", "shop.yaml:1: apiVersion: is missing or no text; write for example `apiVersion: apps/v1`"),
        ("apiVersion: v1\nkind: 7\n", "shop.yaml:2: kind: is missing or no text; write for example `kind: Deployment`"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: 7\n",
            "shop.yaml:4: metadata.name: is missing or no text; give the object a name",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: 7\n",
            "shop.yaml:5: metadata.namespace: is no text; write the namespace in quotes",
        ),
        (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
            "shop.yaml:1: this is an input of kustomize, not an object; name its folder with -f instead of the file",
        ),
    ] {
        assert_eq!(problem(content), said);
    }
}

#[test]
fn twins_are_told() {
    let one = "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n";
    let said = problem(&format!("{one}---\n{one}"));
    assert!(said.starts_with("shop.yaml:3: Pod a is already defined in shop.yaml:1; take one"), "{said}");
}

#[test]
fn hostile_documents_stay_small() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.extend([format!("a{level}: &a{level} [{items}]\n")]);
    }
    assert!(problem(&bomb).contains("too large"), "wide");
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for level in 1..10_000 {
        bomb.extend([format!("a{level}: &a{level} [*a{}]\n", level - 1)]);
    }
    assert!(problem(&bomb).contains("too deep"), "deep");
    assert!(!problem(&"[".repeat(100_000)).is_empty());
    assert!(problem("a: &a [*a]\n").contains("alias") || problem("a: &a [*a]\n").contains("anchor"));
}

#[test]
fn json_is_read_as_well() {
    let (manifests, problems) =
        text("{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"a\\u00e9\"}}\n");
    assert_eq!(problems, []);
    assert_eq!(manifests.first().unwrap().line_of("metadata.name"), 4);
}
