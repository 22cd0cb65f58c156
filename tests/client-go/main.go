// A controller of the usual Go kind, on the API server of $KUBECONFIG: elects itself, watches with informers, writes in protobuf, records events.
//
// It keeps a Deployment's image in a ConfigMap and says so in the status of a Canary; then it checks what came of it. Exit code 1 with a line on what was
// otherwise. Meant for the lab; any cluster with the Canary kind will do. It leaves the namespace client-go behind on failure only.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
)

const (
	namespace = "client-go"
	protobuf  = "application/vnd.kubernetes.protobuf"
)

var canaries = schema.GroupVersionResource{Group: "flagger.app", Version: "v1beta1", Resource: "canaries"}

type controller struct {
	client  *kubernetes.Clientset
	custom  dynamic.Interface
	events  record.EventRecorder
	updates chan *apps.Deployment
	deleted chan string
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println("ok: elected, watched, wrote in protobuf and JSON, recorded events")
}

func run(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	custom, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	config.ContentType = protobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	space := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: namespace}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, space, meta.CreateOptions{}); err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typed.EventSinkImpl{Interface: client.CoreV1().Events("")})
	defer broadcaster.Shutdown()
	c := &controller{client, custom, broadcaster.NewRecorder(scheme.Scheme, core.EventSource{Component: "client-go"}),
		make(chan *apps.Deployment, 100), make(chan string, 100)}
	return c.lead(ctx)
}

// lead works once this process holds the lease.
func (c *controller) lead(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := errors.New("never elected")
	lock := &resourcelock.LeaseLock{LeaseMeta: meta.ObjectMeta{Name: "leader", Namespace: namespace}, Client: c.client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: "one", EventRecorder: c.events}}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { result = c.work(ctx); cancel() },
			OnStoppedLeading: func() {},
		},
	})
	if result != nil {
		return result
	}
	lease, err := c.client.CoordinationV1().Leases(namespace).Get(context.Background(), "leader", meta.GetOptions{})
	if err != nil {
		return err
	}
	if *lease.Spec.HolderIdentity != "" || *lease.Spec.LeaseTransitions != 0 {
		return fmt.Errorf("the lease was not given back: %+v", lease.Spec)
	}
	return c.client.CoreV1().Namespaces().Delete(context.Background(), namespace, meta.DeleteOptions{})
}

func (c *controller) work(ctx context.Context) error {
	if err := c.watch(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{c.release, c.update, c.status, c.recorded, c.remove}
	for number, step := range steps {
		if err := step(ctx); err != nil {
			return fmt.Errorf("step %d: %w", number+1, err)
		}
	}
	return nil
}

// watch starts informers of a built-in kind, in protobuf as far as the server speaks it, and of a custom kind.
func (c *controller) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithNamespace(namespace))
	deployments := factory.Apps().V1().Deployments().Informer()
	if _, err := deployments.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { c.updates <- object.(*apps.Deployment) },
		UpdateFunc: func(_, object any) { c.updates <- object.(*apps.Deployment) },
		DeleteFunc: func(object any) { c.deleted <- object.(*apps.Deployment).Name },
	}); err != nil {
		return err
	}
	others := dynamicinformer.NewFilteredDynamicSharedInformerFactory(c.custom, 0, namespace, nil)
	custom := others.ForResource(canaries).Informer()
	factory.Start(ctx.Done())
	others.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), deployments.HasSynced, custom.HasSynced) {
		return errors.New("the caches did not fill")
	}
	return nil
}

// seen waits until the informer brings a Deployment that passes.
func (c *controller) seen(ctx context.Context, what string, passes func(*apps.Deployment) bool) error {
	for {
		select {
		case deployment := <-c.updates:
			if passes(deployment) {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("never seen: %s", what)
		}
	}
}

func ready(deployment *apps.Deployment) bool {
	return deployment.Status.ObservedGeneration == deployment.Generation && deployment.Status.ReadyReplicas == 2 &&
		deployment.Status.UpdatedReplicas == 2 && deployment.Status.Replicas == 2
}

func (c *controller) release(ctx context.Context) error {
	labels := map[string]string{"app": "shop"}
	replicas := int32(2)
	deployment := &apps.Deployment{ObjectMeta: meta.ObjectMeta{Name: "shop"}, Spec: apps.DeploymentSpec{
		Replicas: &replicas, Selector: &meta.LabelSelector{MatchLabels: labels},
		Template: core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: labels},
			Spec: core.PodSpec{Containers: []core.Container{{Name: "web", Image: "shop:1"}}}},
	}}
	if _, err := c.client.AppsV1().Deployments(namespace).Create(ctx, deployment, meta.CreateOptions{}); err != nil {
		return err
	}
	if _, err := c.client.AppsV1().Deployments(namespace).Create(ctx, deployment, meta.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("created twice: %w", err)
	}
	return c.seen(ctx, "two ready pods", ready)
}

// update changes the image on an old version, which must be refused, and then as one does.
func (c *controller) update(ctx context.Context) error {
	deployments := c.client.AppsV1().Deployments(namespace)
	old, err := deployments.Get(ctx, "shop", meta.GetOptions{})
	if err != nil {
		return err
	}
	patch := []byte(`{"metadata":{"annotations":{"by":"client-go"}}}`)
	if _, err := deployments.Patch(ctx, "shop", types.StrategicMergePatchType, patch, meta.PatchOptions{}); err != nil {
		return err
	}
	old.Spec.Template.Spec.Containers[0].Image = "shop:2"
	if _, err := deployments.Update(ctx, old, meta.UpdateOptions{}); !apierrors.IsConflict(err) {
		return fmt.Errorf("an update of an old version: %w", err)
	}
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		present, err := deployments.Get(ctx, "shop", meta.GetOptions{})
		if err != nil {
			return err
		}
		present.Spec.Template.Spec.Containers[0].Image = "shop:2"
		_, err = deployments.Update(ctx, present, meta.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return c.seen(ctx, "the new image, ready", func(deployment *apps.Deployment) bool {
		return ready(deployment) && deployment.Spec.Template.Spec.Containers[0].Image == "shop:2" && deployment.Annotations["by"] == "client-go"
	})
}

// status writes the status of a custom object through its subresource.
func (c *controller) status(ctx context.Context) error {
	canary := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": map[string]any{"name": "other"},
		"spec": map[string]any{
			"targetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"},
			"service":   map[string]any{"port": int64(80)}, "analysis": map[string]any{"interval": "1m", "threshold": int64(1), "iterations": int64(1)},
		},
	}}
	api := c.custom.Resource(canaries).Namespace(namespace)
	created, err := api.Create(ctx, canary, meta.CreateOptions{})
	if err != nil {
		return err
	}
	status := map[string]any{"phase": "Waiting", "canaryWeight": int64(0), "failedChecks": int64(0), "iterations": int64(0)}
	if err := unstructured.SetNestedMap(created.Object, status, "status"); err != nil {
		return err
	}
	written, err := api.UpdateStatus(ctx, created, meta.UpdateOptions{})
	if err != nil {
		return err
	}
	if phase, _, _ := unstructured.NestedString(written.Object, "status", "phase"); phase != "Waiting" || written.GetGeneration() != 1 {
		return fmt.Errorf("the status is %q, the generation %d", phase, written.GetGeneration())
	}
	c.events.Event(written, core.EventTypeNormal, "Synced", "hello")
	c.events.Event(written, core.EventTypeNormal, "Synced", "hello")
	return nil
}

// recorded waits until the event is there, counted twice (written, then patched).
func (c *controller) recorded(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		selector := meta.ListOptions{FieldSelector: "involvedObject.name=other,reason=Synced"}
		events, err := c.client.CoreV1().Events(namespace).List(ctx, selector)
		return err == nil && len(events.Items) == 1 && events.Items[0].Count == 2, err
	})
}

func (c *controller) remove(ctx context.Context) error {
	foreground := meta.DeletePropagationForeground
	err := c.client.AppsV1().Deployments(namespace).Delete(ctx, "shop", meta.DeleteOptions{PropagationPolicy: &foreground})
	if err != nil {
		return err
	}
	select {
	case <-c.deleted:
		return nil
	case <-ctx.Done():
		return errors.New("the deletion was never seen")
	}
}
