// Writes messages.txt: which number of which message is which field, from the tags of the published Go types.
// Run by hand when kinds are added, in an empty directory:
//
//	go mod init x && go get k8s.io/api@v0.36.3 && go run PATH/generate.go > PATH/messages.txt
package main

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	autoscaling1 "k8s.io/api/autoscaling/v1"
	autoscaling2 "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	scheduling "k8s.io/api/scheduling/v1"
	storage "k8s.io/api/storage/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var kinds = map[string][]any{
	"v1": {core.ConfigMap{}, core.Endpoints{}, core.Event{}, core.Namespace{}, core.Node{}, core.PersistentVolumeClaim{}, core.PersistentVolume{},
		core.Pod{}, core.PodTemplate{}, core.ReplicationController{}, core.Secret{}, core.ServiceAccount{}, core.Service{}, core.ResourceQuota{},
		core.LimitRange{}, meta.DeleteOptions{}},
	"apps/v1":                         {apps.Deployment{}, apps.DaemonSet{}, apps.ReplicaSet{}, apps.StatefulSet{}, apps.ControllerRevision{}},
	"autoscaling/v1":                  {autoscaling1.HorizontalPodAutoscaler{}, autoscaling1.Scale{}},
	"autoscaling/v2":                  {autoscaling2.HorizontalPodAutoscaler{}},
	"batch/v1":                        {batch.Job{}, batch.CronJob{}},
	"coordination.k8s.io/v1":          {coordination.Lease{}},
	"discovery.k8s.io/v1":             {discovery.EndpointSlice{}},
	"events.k8s.io/v1":                {events.Event{}},
	"networking.k8s.io/v1":            {networking.Ingress{}, networking.IngressClass{}, networking.NetworkPolicy{}},
	"policy/v1":                       {policy.PodDisruptionBudget{}, policy.Eviction{}},
	"rbac.authorization.k8s.io/v1":    {rbac.Role{}, rbac.RoleBinding{}, rbac.ClusterRole{}, rbac.ClusterRoleBinding{}},
	"scheduling.k8s.io/v1":            {scheduling.PriorityClass{}},
	"storage.k8s.io/v1":               {storage.StorageClass{}},
	"admissionregistration.k8s.io/v1": {admission.ValidatingWebhookConfiguration{}, admission.MutatingWebhookConfiguration{}},
	"authentication.k8s.io/v1":        {authentication.SelfSubjectReview{}, authentication.TokenReview{}, authentication.TokenRequest{}},
	"authorization.k8s.io/v1": {authorization.SelfSubjectAccessReview{}, authorization.SubjectAccessReview{},
		authorization.LocalSubjectAccessReview{}, authorization.SelfSubjectRulesReview{}},
}

// Types whose JSON is not what their fields say; the reader knows them.
var special = map[string]string{
	"k8s.io/apimachinery/pkg/api/resource.Quantity":   "quantity",
	"k8s.io/apimachinery/pkg/util/intstr.IntOrString": "either",
	"k8s.io/apimachinery/pkg/apis/meta/v1.Time":       "time",
	"k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime":  "microtime",
	"k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1":   "raw",
	"k8s.io/apimachinery/pkg/runtime.RawExtension":    "raw",
}

var done = map[string]bool{}
var lines []string

func name(t reflect.Type) string {
	path := strings.NewReplacer("k8s.io/api/", "", "k8s.io/apimachinery/pkg/apis/", "").Replace(t.PkgPath())
	return strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

func kind(t reflect.Type) string {
	if code, ok := special[t.PkgPath()+"."+t.Name()]; ok {
		return code
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "bool"
	case reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float64:
		return "double"
	case reflect.Struct:
		message(t)
		return name(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
	}
	return ""
}

func field(f reflect.StructField) string {
	proto, json := f.Tag.Get("protobuf"), strings.Split(f.Tag.Get("json"), ",")
	if proto == "" || proto == "-" || json[0] == "-" {
		return ""
	}
	number := strings.Split(proto, ",")[1]
	t, shape := f.Type, "one"
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	} else if len(json) > 1 && json[1] == "omitempty" {
		shape = "nonzero"
	}
	if _, ok := special[t.PkgPath()+"."+t.Name()]; !ok && t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		t, shape = t.Elem(), "many"
	} else if t.Kind() == reflect.Map {
		t, shape = t.Elem(), "map"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	label := json[0]
	if label == "" {
		shape, label = "inline", "-"
	}
	of := kind(t)
	if of == "" {
		return ""
	}
	return strings.Join([]string{number, label, shape, of}, " ")
}

func message(t reflect.Type) {
	if done[name(t)] {
		return
	}
	done[name(t)] = true
	line := name(t)
	for i := range t.NumField() {
		if text := field(t.Field(i)); text != "" {
			line += "," + text
		}
	}
	lines = append(lines, line)
}

func main() {
	versions := []string{}
	for version := range kinds {
		versions = append(versions, version)
	}
	sort.Strings(versions)
	for _, version := range versions {
		for _, one := range kinds[version] {
			t := reflect.TypeOf(one)
			message(t)
			fmt.Printf("= %s %s %s\n", version, t.Name(), name(t))
		}
	}
	sort.Strings(lines)
	fmt.Println(strings.Join(lines, "\n"))
}
