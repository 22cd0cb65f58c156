//! Every template of `golden.json` does here what it does in Go: the same output or the same error text.
//!
//! The table was written by Go 1.26's `text/template`, by a program that is in essence this one, fed with a list of
//! templates (queries as users write them, each construct, each error, and random ones):
//!
//! ```go
//! text := func(s string) func() string { return func() string { return s } }
//! functions := template.FuncMap{
//!     "name": text("podinfo"), // and so on, as under "functions"
//!     "variables": func() map[string]string { return map[string]string{"direction": "inbound", /* ... */ } },
//!     "nothing":   func() map[string]string { return nil }, // null under "functions"
//! }
//! for scanner.Scan() {
//!     row := Row{Template: scanner.Text()}
//!     t, err := template.New("tmpl").Option("missingkey=error").Funcs(functions).Parse(row.Template)
//!     var out bytes.Buffer
//!     if err == nil {
//!         err = t.Execute(&out, nil)
//!     }
//!     if err == nil {
//!         row.Output = out.String()
//!     } else {
//!         row.Error = err.Error()
//!     }
//!     encoder.Encode(row)
//! }
//! ```
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use gotemplate::{Env, Template, Value};
use serde_json::Value as Json;

const GOLDEN: &str = include_str!("golden.json");

fn environment(functions: &Json) -> Env {
    let functions = functions.as_object().unwrap();
    functions.iter().fold(Env::new(), |env, (name, value)| match value {
        Json::String(text) => env.with(name, text.as_str()),
        Json::Object(map) => {
            let entries = map.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
            env.with(name, entries.collect::<BTreeMap<_, _>>())
        }
        _ => env.with(name, Value::NilMap),
    })
}

fn render(text: &str, env: &Env) -> Result<String, String> {
    let template = Template::parse(text, &env.names()).map_err(|error| error.to_string())?;
    template.execute(env).map_err(|error| error.to_string())
}

#[test]
fn templates_do_what_they_do_in_go() {
    let golden: Json = serde_json::from_str(GOLDEN).unwrap();
    let env = environment(&golden["functions"]);
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 500, "the table has only {} rows", cases.len());
    let mut different = Vec::new();
    for case in cases {
        let text = case["template"].as_str().unwrap();
        let want = case["output"].as_str().map(str::to_owned).ok_or_else(|| case["error"].as_str().unwrap().to_owned());
        let got = render(text, &env);
        if got != want {
            different.push(format!("{text:?}\n  Go   {want:?}\n  here {got:?}"));
        }
    }
    assert!(different.is_empty(), "{} of {} differ:\n{}", different.len(), cases.len(), different.join("\n"));
}
