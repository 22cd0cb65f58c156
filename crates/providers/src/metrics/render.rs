//! From the template of a query to its text.
//!
//! Queries are Go templates that call functions without arguments: the names of the Canary, the window, the metric's
//! own variables. Source: metrics notes, section 2.

use api::{CanaryMetric, Rollout};
use gotemplate::{Env, Template, Value};

/// Why a query cannot be rendered. The texts, misspelling included, are known to users from events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RenderError {
    #[error("template parsing failed: {0}")]
    Parse(gotemplate::ParseError),
    #[error("template excution failed: {0}")]
    Execute(gotemplate::ExecError),
}

/// Renders a query. `revision`: what stands for the route under Knative. `plain`: names are written with letters,
/// digits and `_` only.
pub(super) fn render(
    text: &str,
    rollout: &Rollout,
    metric: &CanaryMetric,
    revision: Option<&str>,
    plain: bool,
) -> Result<String, RenderError> {
    let env = env(rollout, metric, revision, plain);
    let template = Template::parse(text, &env.names()).map_err(RenderError::Parse)?;
    template.execute(&env).map_err(RenderError::Execute)
}

fn env(rollout: &Rollout, metric: &CanaryMetric, revision: Option<&str>, plain: bool) -> Env {
    let target = rollout.target.name.as_str();
    let own_service = rollout.service.name.as_deref().unwrap_or_default();
    let service = if own_service.is_empty() { target } else { own_service };
    let name = |name: &str| if plain { plain_name(name) } else { name.to_owned() };
    let variables = Some(&metric.template_variables).filter(|variables| !variables.is_empty());
    Env::new()
        .with("name", name(&rollout.name))
        .with("namespace", name(&rollout.namespace))
        .with("target", name(target))
        .with("service", name(service))
        .with("ingress", name(rollout.ingress.as_deref().unwrap_or(target)))
        .with("route", revision.or(rollout.route.as_deref()).unwrap_or(target))
        .with("interval", api::derived::metric_interval(metric))
        .with("variables", variables.map_or(Value::NilMap, |variables| Value::Map(variables.clone())))
}

fn plain_name(name: &str) -> String {
    name.chars()
        .map(|character| if character.is_ascii_alphanumeric() || character == '_' { character } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rollout;

    const ALL: &str = "{{ name }} {{ namespace }} {{ target }} {{ service }} {{ ingress }} {{ route }} {{ interval }}";

    /// Renders with the first metric of a Canary.
    fn rendered(spec: &str, text: &str) -> Result<String, String> {
        let rollout = rollout(spec);
        render(text, &rollout, &rollout.analysis.metrics[0], None, false).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_has_a_default() {
        let spec = "{targetRef: {name: cart-api}, analysis: {metrics: [{name: x}]}}";
        assert_eq!(rendered(spec, ALL).unwrap(), "cart shop cart-api cart-api cart-api cart-api 1m");
    }

    #[test]
    fn everything_can_be_set() {
        let spec = "{targetRef: {name: cart-api}, service: {name: s}, ingressRef: {name: i}, routeRef: {name: r}, \
                    analysis: {metrics: [{name: x, interval: 30s, templateVariables: {direction: out, my-key: v}}]}}";
        assert_eq!(rendered(spec, ALL).unwrap(), "cart shop cart-api s i r 30s");
        assert_eq!(rendered(spec, "{{variables.direction}} {{ index variables \"my-key\" }}").unwrap(), "out v");
        let rollout = rollout(spec);
        let revision =
            |revision| render("{{ route }}", &rollout, &rollout.analysis.metrics[0], Some(revision), false).unwrap();
        assert_eq!([revision("cart-00002"), revision("")], ["cart-00002", ""]);
    }

    #[test]
    fn the_text_around_stays_as_it_is() {
        assert_eq!(rendered("{analysis: {metrics: [{name: x}]}}", "a\n  <b>\n").unwrap(), "a\n  <b>\n");
    }

    #[test]
    fn errors_read_as_users_know_them() {
        let error = |text| rendered("{analysis: {metrics: [{name: x}]}}", text).unwrap_err();
        assert_eq!(error("{{ foo }}"), "template parsing failed: template: tmpl:1: function \"foo\" not defined");
        assert_eq!(
            error("{{ variables.foo }}"),
            "template excution failed: template: tmpl:1:3: executing \"tmpl\" at <variables>: map has no entry for key \"foo\""
        );
    }
}
