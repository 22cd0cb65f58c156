//! S001: how it works: the Services and the routes that a Canary makes.

use crate::documents::*;
use crate::harness::*;
use lab::dataplane::split::Asked;
use serde_json::{Value, json};

/// Name, port and target port of all ports of a Service, sorted.
fn ports(world: &World, service: &str) -> Vec<(String, i64, Value)> {
    let ports = world.get("service", service)["spec"]["ports"].clone();
    let of = |port: &Value| {
        (port["name"].as_str().unwrap().to_owned(), port["port"].as_i64().unwrap(), port["targetPort"].clone())
    };
    let mut ports: Vec<_> = ports.as_array().unwrap().iter().map(of).collect();
    ports.sort_by(|a, b| a.0.cmp(&b.0));
    ports
}

#[tokio::test(start_paused = true)]
async fn s001_12_three_services() {
    let sides =
        [("forecast", "forecast-primary"), ("forecast-primary", "forecast-primary"), ("forecast-canary", "forecast")];
    // The shortest one: everything has its default.
    let world = initialized(&forecast("minimal"), "weather", "forecast").await;
    for (service, pods) in sides {
        assert_eq!(ports(&world, service), [("http".to_owned(), 9898, json!(9898))]);
        let object = world.get("service", service);
        assert_eq!(
            (&object["spec"]["type"], &object["spec"]["selector"]),
            (&json!("ClusterIP"), &json!({"app": pods})),
            "{service}"
        );
        assert_eq!(object["spec"]["ports"][0]["appProtocol"], json!(null));
    }
    // The address of the canary has pods behind it during the analysis only.
    assert_eq!(world.replicas("forecast"), 0);
    world.deploy("registry.example.com/weather/forecast:3.1.0");
    world.wait_told("canary weight 5").await;
    assert!(world.replicas("forecast") > 0);
    // The long one: all ports of the containers, but for those of a mesh.
    let world = initialized(&forecast("full"), "weather", "forecast").await;
    for (service, _) in sides {
        assert_eq!(
            ports(&world, service),
            [("http".to_owned(), 9898, json!(9898)), ("http-metrics".to_owned(), 9797, json!(9797))]
        );
        assert_eq!(world.get("service", service)["spec"]["ports"][0]["appProtocol"], "http");
    }
    // gRPC, another name, a port by its name.
    let mut objects = forecast("minimal");
    objects.last_mut().unwrap()["spec"]["service"] =
        json!({"name": "weather", "port": 9999, "portName": "grpc", "targetPort": "http"});
    let world = initialized(&objects, "weather", "forecast").await;
    for (service, pods) in
        [("weather", "forecast-primary"), ("weather-primary", "forecast-primary"), ("weather-canary", "forecast")]
    {
        assert_eq!(ports(&world, service), [("grpc".to_owned(), 9999, json!("http"))]);
        assert_eq!(world.get("service", service)["spec"]["selector"], json!({"app": pods}));
    }
}

#[tokio::test(start_paused = true)]
async fn s001_13_labels_and_annotations() {
    let world = initialized(&forecast("full"), "weather", "forecast").await;
    for (service, tier) in [("forecast", "web"), ("forecast-canary", "test"), ("forecast-primary", "web")] {
        assert_eq!(world.get("service", service)["metadata"]["labels"]["tier"], tier, "{service}");
    }
    let owner = |kind: &str, name: &str| world.get(kind, name)["metadata"]["annotations"]["example.com/owner"].clone();
    assert_eq!(owner("service", "forecast"), "weather");
    assert_eq!(owner("virtualservice", "forecast"), "weather", "where external-dns looks for it");
    assert_eq!((owner("service", "forecast-canary"), owner("service", "forecast-primary")), (Value::Null, Value::Null));
}

#[tokio::test(start_paused = true)]
async fn s001_14_what_istio_can_do() {
    let world = initialized(&forecast("full"), "weather", "forecast").await;
    let service = manifest("how-it-works/full.yaml", "Canary")["spec"]["service"].clone();
    let spec = world.get("virtualservice", "forecast")["spec"].clone();
    assert_eq!(
        (&spec["gateways"], &spec["hosts"]),
        (&service["gateways"], &json!(["forecast.example.com", "forecast"]))
    );
    for field in ["match", "rewrite", "retries", "timeout", "headers", "corsPolicy"] {
        assert!(!service[field].is_null(), "{field}");
        assert_eq!(spec["http"][0][field], service[field], "{field}");
    }
    for side in ["forecast-primary", "forecast-canary"] {
        assert_eq!(world.get("destinationrule", side)["spec"]["trafficPolicy"], service["trafficPolicy"]);
    }
    assert_eq!(share(&world, &Asked::get("weather", "forecast", "/today"), "forecast-primary"), 100);
}
