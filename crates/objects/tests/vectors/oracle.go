// Hashes pod templates and Service specs with the public Kubernetes Go modules, to make the vectors beside this file.
//
// Reads lines {"kind": "template" | "daemonSet" | "service" | "quantity", "value": ...} and prints {"hash", "dump"} for each.
// The object goes through the binary encoding, as it does between an API server and a Go client. Not part of any build: copy it
// into an empty directory and say
//
//	go mod init oracle && go get k8s.io/api@v0.36 k8s.io/apimachinery@v0.36 && go mod tidy && go run .
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"time"

	"github.com/davecgh/go-spew/spew"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/rand"
)

type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// The object that a Go client would hold after reading this JSON from an API server.
func received(raw []byte, sent, received message) error {
	if err := json.Unmarshal(raw, sent); err != nil {
		return err
	}
	wire, err := sent.Marshal()
	if err != nil {
		return err
	}
	return received.Unmarshal(wire)
}

func object(kind string, raw []byte) (any, error) {
	switch kind {
	case "service":
		var sent, spec core.ServiceSpec
		err := received(raw, &sent, &spec)
		return spec, err
	case "quantity":
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, err
		}
		return resource.ParseQuantity(text)
	}
	var sent, template core.PodTemplateSpec
	err := received(raw, &sent, &template)
	if kind == "daemonSet" {
		delete(template.Spec.NodeSelector, "flagger.app/scale-to-zero")
		if template.Spec.NodeSelector == nil {
			template.Spec.NodeSelector = map[string]string{}
		}
	}
	return template, err
}

func main() {
	_ = time.Now().String() // loads the local time zone, which the dump of a time shows
	printer := spew.ConfigState{Indent: " ", SortKeys: true, DisableMethods: true, SpewKeys: true}
	lines, results := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var line struct {
			Kind  string
			Value json.RawMessage
		}
		err := json.Unmarshal(lines.Bytes(), &line)
		var value any
		if err == nil {
			value, err = object(line.Kind, line.Value)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		dump := printer.Sprintf("%#v", value)
		sum := fnv.New32a()
		sum.Write([]byte(dump))
		results.Encode(map[string]string{"hash": rand.SafeEncodeString(fmt.Sprint(sum.Sum32())), "dump": dump})
	}
}
