//! The layer in front of a lab, through a real client.

use super::*;
use crate::Lab;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use tower::Layer as _;

fn api(lab: &Lab, faults: &Faults) -> Api<ConfigMap> {
    Api::default_namespaced(kube::Client::new(faults.layer(lab.service()), "default"))
}

fn map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

fn code(answer: Result<ConfigMap, kube::Error>) -> u16 {
    match answer {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(_) => 0,
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_not_carried_out_and_lost_answers_are() {
    let (lab, faults) = (Lab::default(), Faults::default());
    let maps = api(&lab, &faults);
    for (fault, expected) in [
        (Fault::Conflict, 409),
        (Fault::TooManyRequests(2), 429),
        (Fault::Internal, 500),
        (Fault::Unavailable, 503),
        (Fault::Forbidden, 403),
        (Fault::UnknownKind, 404),
        (Fault::Break, 0),
    ] {
        faults.add(Rule::new(fault).on_writes().times(1));
        assert_eq!(code(maps.create(&PostParams::default(), &map("a")).await), expected);
        assert!(lab.get("cm", "default", "a").is_none(), "{expected}");
    }
    faults.add(Rule::new(Fault::LoseAnswer).on_writes().times(1));
    assert_eq!(code(maps.create(&PostParams::default(), &map("a")).await), 0);
    assert!(lab.get("cm", "default", "a").is_some());
    faults.add(Rule::new(Fault::Silence).on_writes().times(1));
    let params = PostParams::default();
    let late = map("b");
    let silent = maps.create(&params, &late);
    assert!(tokio::time::timeout(Duration::from_secs(3600), silent).await.is_err());
    assert!(lab.get("cm", "default", "b").is_some());
    assert_eq!(code(maps.create(&PostParams::default(), &map("c")).await), 200, "the rules are used up");
    assert!(faults.report().contains("answer lost: create configmaps default"), "{}", faults.report());
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_nothing_gets_through() {
    let (lab, faults) = (Lab::default(), Faults::default());
    let maps = api(&lab, &faults);
    faults.add(Rule::new(Fault::Kill).on_writes().after(1));
    let mut stream = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    assert_eq!(code(maps.create(&PostParams::default(), &map("a")).await), 200);
    assert!(matches!(stream.next().await, Some(Ok(WatchEvent::Added(_)))));
    let patch = Patch::Merge(json!({"data": {"x": "y"}}));
    let second = async { maps.patch("a", &PatchParams::default(), &patch).await };
    assert!(tokio::time::timeout(Duration::from_secs(60), second).await.is_err());
    assert_eq!(lab.get("cm", "default", "a").unwrap()["data"]["x"], "y", "it was carried out");
    assert!(faults.is_dead());
    assert!(tokio::time::timeout(Duration::from_secs(60), stream.next()).await.is_err());
    assert!(tokio::time::timeout(Duration::from_secs(60), maps.get("a")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn watches_lag_end_break_and_expire() {
    let (lab, faults) = (Lab::default(), Faults::default());
    let maps = api(&lab, &faults);
    faults.add(Rule::new(Fault::WatchLags(Duration::from_secs(5))).times(1));
    let mut stream = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    lab.apply_yaml("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}}").unwrap();
    let before = Instant::now();
    assert!(matches!(stream.next().await, Some(Ok(WatchEvent::Added(_)))));
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    faults.cut(WatchEnd::Ends, |call| call.resource == "secrets");
    faults.cut(WatchEnd::Expires, |call| call.resource == "configmaps");
    assert!(matches!(stream.next().await, Some(Ok(WatchEvent::Error(status))) if status.code == 410));
    assert!(stream.next().await.is_none());
    faults.add(Rule::new(Fault::WatchEndsAfter { time: Duration::from_secs(9), end: WatchEnd::Breaks }));
    let version = lab.version().to_string();
    let mut stream = maps.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    let before = Instant::now();
    assert!(matches!(stream.next().await, Some(Err(_))));
    assert_eq!(before.elapsed(), Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn an_outage_breaks_open_watches_and_ends() {
    let (lab, faults) = (Lab::default(), Faults::default());
    let maps = api(&lab, &faults);
    let mut stream = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    tokio::join!(faults.down_for(Duration::from_secs(60)), async {
        assert!(matches!(stream.next().await, Some(Err(_))));
        assert!(maps.list(&ListParams::default()).await.is_err());
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert!(maps.list(&ListParams::default()).await.is_err());
    });
    assert!(maps.list(&ListParams::default()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn dice_follow_from_the_seed_whatever_else_is_asked() {
    let course = async |seed, noise: bool| {
        let (lab, faults) = (Lab::default(), Faults::new(seed));
        let maps = api(&lab, &faults);
        faults.add_rates(&Rates { unavailable: 0.3, ..Rates::default() });
        let mut codes = Vec::new();
        for at in 0..30 {
            if noise {
                let _ = maps.list(&ListParams::default()).await;
            }
            codes.push(code(maps.get(&format!("m{}", at % 3)).await));
        }
        assert!(codes.contains(&503) && codes.contains(&404), "{codes:?}");
        codes
    };
    assert_eq!(course(7, false).await, course(7, true).await);
    assert_ne!(course(7, false).await, course(8, false).await);
}

#[tokio::test(start_paused = true)]
async fn weather_changes_and_clears_up() {
    let (lab, faults) = (Lab::default(), Faults::new(3));
    let maps = api(&lab, &faults);
    let weather = Weather { kinds: vec!["configmaps".to_owned()], ..Weather::default() };
    let mut refused = 0;
    tokio::select! {
        () = faults.change_weather(weather) => {}
        () = async {
            for _ in 0..2000 {
                refused += usize::from(maps.list(&ListParams::default()).await.is_err());
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        } => {}
    }
    assert!((5..400).contains(&refused), "{refused}: {}", faults.report());
    assert!(faults.counts().len() > 4, "{}", faults.report());
}

#[tokio::test]
async fn the_layer_fits_into_the_stack_of_a_real_client() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (lab, faults) = (Lab::default(), Faults::default());
    let server = lab.serve(listener).unwrap();
    let config = kube::Config::new(server.url().parse().unwrap());
    let client = kube::client::ClientBuilder::try_from(config).unwrap().with_layer(&faults).build();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    faults.add(Rule::new(Fault::LoseAnswer).on_writes().times(1));
    assert_eq!(code(maps.create(&PostParams::default(), &map("a")).await), 0);
    assert_eq!(code(maps.get("a").await), 200);
    let mut stream = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    assert!(matches!(stream.next().await, Some(Ok(WatchEvent::Added(_)))));
    faults.cut(WatchEnd::Expires, |_| true);
    assert!(matches!(stream.next().await, Some(Ok(WatchEvent::Error(status))) if status.code == 410));
}
