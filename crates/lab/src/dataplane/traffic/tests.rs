//! Real requests over loopback.

use super::*;
use crate::dataplane::testing::Fixed;

fn objects(weight: u8) -> Arc<dyn Objects> {
    let service = |name: &str, app: &str| {
        format!("{{kind: Service, metadata: {{name: {name}, namespace: test}}, spec: {{selector: {{app: {app}}}}}}}")
    };
    let deployment = |name: &str, tag: &str, env: &str| {
        format!(
            "{{kind: Deployment, metadata: {{name: {name}, namespace: test}}, status: {{readyReplicas: 1}}, spec: {{template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{image: 'shop:{tag}', env: [{env}]}}]}}}}}}}}"
        )
    };
    let route = format!(
        "{{kind: VirtualService, metadata: {{name: shop, namespace: test}}, spec: {{hosts: [shop], http: [{{route: [{{destination: {{host: shop-primary}}, weight: {}}}, {{destination: {{host: shop-canary}}, weight: {weight}, headers: {{response: {{add: {{Set-Cookie: c=1}}}}}}}}]}}]}}}}",
        100 - weight
    );
    let documents = [
        service("shop-primary", "shop-primary"),
        service("shop-canary", "shop"),
        deployment("shop-primary", "1.0.0", ""),
        deployment("shop", "2.0.0", "{name: ERROR_PERCENT, value: '50'}"),
        route,
    ];
    Arc::new(Fixed::of(&documents.iter().map(String::as_str).collect::<Vec<_>>()))
}

async fn visits(plane: &DataPlane, host: &str, times: usize) -> Tally {
    let tally = Mutex::new(Tally::default());
    for _ in 0..times {
        visit(plane.gateway(), host, &tally).await;
    }
    tally.into_inner().unwrap()
}

#[tokio::test]
async fn requests_reach_both_sides_by_weight_and_failures_are_counted() {
    let plane = DataPlane::start(objects(20)).await.unwrap();
    let seen = visits(&plane, "shop.test", 50).await;
    let side = |workload: &str, version: &str| seen.by_side[&(workload.to_owned(), version.to_owned())];
    assert_eq!(side("shop-primary", "1.0.0"), Count { requests: 40, failed: 0 });
    assert_eq!(side("shop", "2.0.0"), Count { requests: 10, failed: 5 });
    assert_eq!((seen.all, seen.all.success_rate()), (Count { requests: 50, failed: 5 }, Some(90.0)));
    assert_eq!(plane.samples().counts("test")["shop"], Count { requests: 10, failed: 5 });
}

#[tokio::test]
async fn prometheus_tells_what_the_canary_did() {
    let plane = DataPlane::start(objects(20)).await.unwrap();
    visits(&plane, "shop.test", 50).await;
    let path = "/api/v1/query?query=sum(rate(istio_requests_total%7Bdestination_workload%3D%22shop%22,response_code!~%225.*%22%7D%5B1m%5D))*60";
    let answer = http::exchange(plane.prometheus(), Method::GET, path, HeaderMap::new(), Bytes::new()).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body.pointer("/data/result/0/value/1").and_then(serde_json::Value::as_str), Some("5"), "{body}");
}

#[tokio::test]
async fn answers_carry_the_cookies_of_the_route() {
    let plane = DataPlane::start(objects(100)).await.unwrap();
    let headers: HeaderMap = [(header::HOST, HeaderValue::from_static("shop.test"))].into_iter().collect();
    let answer = http::exchange(plane.gateway(), Method::GET, "/", headers, Bytes::new()).await.unwrap();
    assert_eq!(answer.headers().get(header::SET_COOKIE).unwrap(), "c=1");
}

#[tokio::test]
async fn who_cannot_be_served_is_told_why() {
    let plane = DataPlane::start(objects(0)).await.unwrap();
    let seen = visits(&plane, "nobody.test", 2).await;
    assert_eq!(seen.all, Count { requests: 2, failed: 2 });
    assert_eq!(seen.troubles, BTreeMap::from([("there is no Service nobody.test".to_owned(), 2)]));
}
