//! What users, other controllers and accidents do.

use crate::fleet::App;
use crate::guard;
use crate::life::Life;
use serde_json::{Value, json};

impl Life {
    /// Something happens to some Canary.
    pub fn happen(&mut self) {
        let app = self.apps[self.dice.roll(self.apps.len())].clone();
        if self.lab.get("canary", app.namespace, &app.name).is_none() {
            return self.apply_again(&app);
        }
        match self.dice.roll(100) {
            0..44 => self.release(&app, "good"),
            44..54 => self.release(&app, "bad"),
            54..59 => self.release(&app, "missing"),
            59..67 => self.reconfigure(&app),
            67..70 => self.turn(&app, "rollback"),
            70..74 => {
                let gate = app.analysis["webhooks"][2]["type"].as_str().unwrap().to_owned();
                self.turn(&app, &gate);
            }
            74..79 => self.edit(&app),
            79..82 => self.suspend(&app),
            82..88 => self.reroute(&app),
            88..91 => self.lose(&app),
            91..95 => self.scale(&app),
            95..97 => self.label(&app),
            _ => {
                self.note("deletions");
                self.lab.delete("canary", app.namespace, &app.name).unwrap();
            }
        }
    }

    pub fn merge(&self, app: &App, kind: &str, suffix: &str, patch: &Value) {
        // It may be gone still.
        let _ = self.lab.merge(kind, app.namespace, &format!("{}{suffix}", app.name), patch);
    }

    pub fn release(&mut self, app: &App, quality: &'static str) {
        let status = self
            .lab
            .get("canary", app.namespace, &app.name)
            .map(|canary| canary["status"]["phase"].clone())
            .unwrap_or_default();
        let initializing = matches!(status.as_str(), None | Some("" | "Initializing"));
        // What is initialised is promoted without analysis, and what skips it is no better.
        let quality = match quality {
            "bad" if initializing || app.skips() => "good",
            "missing" if initializing => "good",
            quality => quality,
        };
        let image = format!("demo:{quality}-{}", self.dice.roll(1 << 30));
        self.note(quality);
        let Some(live) = self.lab.get("deploy", app.namespace, &app.name) else { return };
        let mut containers = live["spec"]["template"]["spec"]["containers"].clone();
        containers[0]["image"] = json!(image);
        let ready_after =
            if quality == "missing" { json!("never") } else { json!(["0.2", "3", "20"][self.dice.roll(3)]) };
        let template =
            json!({"metadata": {"annotations": {"sim/ready-after": ready_after}}, "spec": {"containers": containers}});
        self.merge(app, "deploy", "", &json!({"spec": {"template": template}}));
    }

    fn reconfigure(&mut self, app: &App) {
        self.note("config changes");
        let value = self.dice.roll(1000).to_string();
        let object = if self.dice.roll(2) == 0 { app.secret(&value) } else { app.config_map(&value) };
        self.lab.apply(&object).unwrap();
    }

    fn turn(&mut self, app: &App, hook: &str) {
        self.note("hooks turned");
        self.net.turn(&format!("{}/{hook}", app.name));
    }

    fn edit(&mut self, app: &App) {
        self.note("edits");
        let patch = match self.dice.roll(4) {
            0 => json!({"threshold": 1 + self.dice.roll(4)}),
            1 => json!({"interval": format!("{}s", 5 + self.dice.roll(25))}),
            2 if app.analysis["stepWeight"].is_i64() => json!({"stepWeight": 10 + self.dice.roll(40)}),
            2 if app.analysis["iterations"].is_i64() => json!({"iterations": 1 + self.dice.roll(5)}),
            _ => app.analysis.clone(),
        };
        self.merge(app, "canary", "", &json!({"spec": {"analysis": patch}}));
    }

    fn suspend(&mut self, app: &App) {
        self.note("suspensions");
        let suspended =
            self.lab.get("canary", app.namespace, &app.name).is_some_and(|canary| canary["spec"]["suspend"] == true);
        self.merge(app, "canary", "", &json!({"spec": {"suspend": !suspended}}));
    }

    fn label(&mut self, app: &App) {
        self.note("labels");
        let label = self.dice.roll(9).to_string();
        self.merge(app, "canary", "", &json!({"metadata": {"labels": {"seen": label}}}));
    }

    /// Somebody edits the routes by hand.
    fn reroute(&mut self, app: &App) {
        self.note("routes edited");
        let (primary, canary) = (format!("{}-primary", app.name), format!("{}-canary", app.name));
        match app.provider {
            "istio" => {
                let route = |host: &str| json!({"destination": {"host": host}, "weight": 50});
                self.merge(
                    app,
                    "virtualservice",
                    "",
                    &json!({"spec": {"http": [{"route": [route(&primary), route(&canary)]}]}}),
                );
            }
            "gatewayapi:v1" => {
                let backend = |name: &str| json!({"name": name, "port": 8080, "weight": 50});
                self.merge(
                    app,
                    "httproute",
                    "",
                    &json!({"spec": {"rules": [{"backendRefs": [backend(&primary), backend(&canary)]}]}}),
                );
            }
            "nginx" => {
                let patch = json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/canary-weight": "50"}}});
                self.merge(app, "ingress", "-canary", &patch);
            }
            _ => self.merge(app, "service", "", &json!({"spec": {"selector": {"app": app.name}}})),
        }
    }

    /// Something that the operator has made is deleted; not a copy of a config, which is made only when a revision is promoted.
    fn lose(&mut self, app: &App) {
        self.note("objects deleted");
        let (kind, suffix) = [
            ("service", ""),
            ("service", "-canary"),
            ("service", "-primary"),
            ("virtualservice", ""),
            ("httproute", ""),
            ("destinationrule", "-canary"),
            ("ingress", "-canary"),
            ("destinationrule", "-primary"),
            ("hpa", "-primary"),
        ][self.dice.roll(9)];
        let _ = self.lab.delete(kind, app.namespace, &format!("{}{suffix}", app.name));
    }

    fn scale(&mut self, app: &App) {
        self.note("primaries scaled");
        let replicas = 1 + self.dice.roll(3);
        self.merge(app, "deploy", "-primary", &json!({"spec": {"replicas": replicas}}));
    }

    /// A Canary that was deleted comes back, on a target that can serve.
    pub fn apply_again(&mut self, app: &App) {
        self.note("made again");
        // Until it is there again nobody judges the target.
        let Some(live) = self.lab.get("deploy", app.namespace, &app.name) else { return };
        let mut containers = live["spec"]["template"]["spec"]["containers"].clone();
        containers[0]["image"] = json!(format!("demo:good-{}", self.dice.roll(1 << 30)));
        let template =
            json!({"metadata": {"annotations": {"sim/ready-after": "0.2"}}, "spec": {"containers": containers}});
        self.merge(app, "deploy", "", &json!({"spec": {"template": template}}));
        self.lab.apply(&app.canary()).unwrap();
    }

    /// What users have left behind is cleared up.
    pub fn tidy(&mut self) {
        for app in self.apps.clone() {
            match self.lab.get("canary", app.namespace, &app.name) {
                None => self.apply_again(&app),
                Some(canary) if canary["spec"]["suspend"] == true => {
                    self.merge(&app, "canary", "", &json!({"spec": {"suspend": false}}));
                }
                Some(_) => {}
            }
        }
    }

    /// Whether a Canary is at rest; if not, how it is.
    pub fn unrest(&self, app: &App) -> Option<String> {
        let Some(canary) = self.lab.get("canary", app.namespace, &app.name) else {
            return Some("there is no Canary".to_owned());
        };
        let status = &canary["status"];
        let phase = status["phase"].as_str().unwrap_or_default();
        let replicas = |suffix: &str| {
            let live = self.lab.get("deploy", app.namespace, &format!("{}{suffix}", app.name));
            live.and_then(|live| live["spec"]["replicas"].as_i64()).unwrap_or(-1)
        };
        let routes = guard::traffic(&self.lab, app);
        let ended = matches!(phase, "Initialized" | "Succeeded" | "Failed");
        let calm = ended
            && replicas("") == 0
            && replicas("-primary") >= 1
            && routes == Some((true, false))
            && status["unannounced"].is_null();
        (!calm).then(|| {
            format!(
                "{} ({} {}) is {phase:?}, replicas {} and {}, traffic {routes:?}, {}, target {}, {status}",
                app.name,
                app.provider,
                app.strategy,
                replicas("-primary"),
                replicas(""),
                canary["spec"]["analysis"],
                guard::image(&self.lab, app, "")
            )
        })
    }
}
