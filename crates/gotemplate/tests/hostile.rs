//! No template can bring the process down: not by nesting, not by output, not by work, not by being nonsense.
//!
//! Go has few such limits, so the texts here are ours, except where Go has one for the same case.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::thread;

use gotemplate::{Env, Template, Value};
use proptest::prelude::*;

fn env() -> Env {
    let variables = [("a", "x"), ("b", "é")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    Env::new()
        .with("name", "podinfo")
        .with("variables", Value::Map(variables.into_iter().collect()))
        .with("nothing", Value::NilMap)
}

fn render(text: &str) -> Result<String, String> {
    let env = env();
    let template = Template::parse(text, &env.names()).map_err(|error| error.to_string())?;
    template.execute(&env).map_err(|error| error.to_string())
}

fn reason(text: &str) -> String {
    let error = render(text).expect_err("must be refused");
    error.rsplit_once(": ").map(|(_, reason)| reason.to_owned()).unwrap_or(error)
}

/// Runs `test` with half a megabyte of stack, a quarter of what a worker thread has.
fn on_a_small_stack(test: fn()) {
    thread::Builder::new().stack_size(512 * 1024).spawn(test).unwrap().join().unwrap();
}

#[test]
fn deep_nesting_is_refused() {
    on_a_small_stack(|| {
        for depth in [51, 1000, 30_000] {
            let parentheses = format!("{{{{{}1{}}}}}", "(".repeat(depth), ")".repeat(depth));
            assert_eq!(reason(&parentheses), "max expression depth exceeded");
            let blocks = format!("{}{}", "{{if 1}}".repeat(depth), "{{end}}".repeat(depth));
            assert_eq!(reason(&blocks), "max nesting depth exceeded");
            let blocks = format!("{}{}", "{{block \"x\" 1}}".repeat(depth), "{{end}}".repeat(depth));
            assert_eq!(reason(&blocks), "max nesting depth exceeded");
        }
    });
}

#[test]
fn what_is_within_the_limits_fits_on_a_small_stack() {
    on_a_small_stack(|| {
        for (open, close) in [("{{if 1}}", "{{end}}"), ("{{with 1}}", "{{end}}"), ("{{range 1}}", "{{end}}")] {
            let call = "{{template \"a\"}}";
            let nested = format!("{}{call}{}", open.repeat(49), close.repeat(49));
            let recursive = format!("{{{{define \"a\"}}}}{nested}{{{{end}}}}{call}");
            assert_eq!(reason(&recursive), "exceeded maximum template depth (250)");
        }
        let chain = format!("{{{{{}variables{}}}}}", "(".repeat(50), ")".repeat(50));
        assert_eq!(render(&chain).unwrap(), "map[a:x b:é]");
    });
}

#[test]
fn a_long_chain_of_else_if_is_not_deep() {
    let text = format!("{{{{if 0}}}}{}{{{{else}}}}end{{{{end}}}}", "{{else if 0}}".repeat(10_000));
    assert_eq!(render(&text).unwrap(), "end");
}

#[test]
fn endless_recursion_is_told_as_in_go() {
    let error = render("{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}").unwrap_err();
    let place = "template: tmpl:1:25: executing \"a\" at <{{template \"a\"}}>";
    assert_eq!(error, format!("{place}: exceeded maximum template depth (250)"));
}

#[test]
fn endless_work_is_refused() {
    for text in [
        "{{range 9223372036854775807}}{{end}}",
        "{{range 1000000}}{{range 1000000}}{{end}}{{end}}",
        "{{$x := 1}}{{range 100000000}}{{$x = len variables}}{{end}}",
        "{{define \"a\"}}{{range 9}}{{template \"a\"}}{{end}}{{end}}{{template \"a\"}}",
        "{{$x := printf \"%100000d\" 1}}{{range 1000000}}{{if eq $x $x}}{{end}}{{end}}",
    ] {
        let reason = reason(text);
        assert!(reason.starts_with("exceeded maximum template "), "{text}: {reason}");
    }
}

#[test]
fn endless_output_is_refused() {
    assert_eq!(reason("{{range 1000000}}0123456789{{end}}"), "output is longer than 1048576 bytes");
    assert_eq!(reason("{{printf \"%1000000d%1000000d\" 1 2}}"), "result is longer than 1048576 bytes");
    assert_eq!(reason("{{printf \"%.1000000f%.1000000d\" 1.5 2}}"), "result is longer than 1048576 bytes");
    assert_eq!(
        reason("{{$x := \"0123456789\"}}{{range 100}}{{$x = print $x $x}}{{end}}"),
        "result is longer than 1048576 bytes"
    );
    assert_eq!(reason("{{$x := printf \"%1000000d\" 1}}{{html $x $x}}"), "result is longer than 1048576 bytes");
}

#[test]
fn a_large_format_takes_no_longer_than_its_size() {
    // Each would take minutes if every directive looked through all that follows it.
    for unit in ["%[", "%d", "%[1].1s", "%.0q", "%9999999999"] {
        let format = unit.repeat(1_000_000 / unit.len() / 2);
        let text = format!("{{{{printf \"{format}\" (printf \"%500000s\" name)}}}}");
        // What comes out is of no interest here.
        let _ = render(&text);
    }
}

#[test]
fn a_template_longer_than_a_kubernetes_object_is_refused() {
    assert_eq!(reason(&"x".repeat((1 << 20) + 1)), "template is longer than 1048576 bytes");
    assert_eq!(render(&"x".repeat(1 << 20)).map(|output| output.len()), Ok(1 << 20));
}

/// Pieces that random templates are made of, so that they get past the first characters.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    " -}}",
    " ",
    "\n",
    "(",
    ")",
    "|",
    "\"",
    "'",
    "`",
    ".",
    "$",
    "$x",
    ":=",
    "=",
    ",",
    "if ",
    "else",
    "end",
    "range ",
    "with ",
    "define ",
    "template ",
    "block ",
    "break",
    "continue",
    "nil",
    "true",
    "name",
    "variables",
    ".foo",
    "\"T\"",
    "1",
    "-",
    "1.5",
    "2i",
    "'c'",
    "/*",
    "*/",
    "é",
    "\\",
    "#",
    "{{end}}",
    "{{else}}",
    "{{if 1}}",
    "{{range variables}}",
    "{{define \"T\"}}",
    "printf ",
    "\"%5.2v\"",
    "\"%[2]*.[1]x%\"",
    "index ",
    "slice ",
    "eq ",
    "html ",
    "js ",
    "print ",
    "len ",
    "\"\\xff\"",
    "call ",
    "{{$x := variables}}",
    "{{template \"T\" .}}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn nonsense_is_refused_or_rendered(text in "\\PC*") {
        let _ = render(&text);
    }

    #[test]
    fn bytes_in_an_action_are_refused_or_rendered(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = render(&format!("{{{{{}}}}}", String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn pieces_in_any_order_are_refused_or_rendered(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..25),
    ) {
        let _ = render(&pieces.concat());
    }

    #[test]
    fn formats_in_any_form_are_rendered(format in "[%+# 0-9.*\\[\\]a-zA-Z-]{0,20}", number in any::<i64>()) {
        let text = format!("{{{{printf `{format}` {number} name 1.5 true variables nil 2i 7}}}}");
        // Only a width or precision that makes too much text is refused.
        if let Err(error) = render(&text) {
            prop_assert!(error.ends_with("bytes") || error.contains("overflows"), "{error}");
        }
    }

    #[test]
    fn text_without_actions_stays_as_it_is(text in "[^{]{0,200}") {
        prop_assert_eq!(render(&text), Ok(text));
    }

    #[test]
    fn any_string_comes_out_of_its_literal(text in any::<String>()) {
        let literal: String = text.chars().fold(String::new(), |literal, c| literal + &format!("\\U{:08x}", u32::from(c)));
        prop_assert_eq!(render(&format!("{{{{\"{literal}\"}}}}")), Ok(text));
    }
}
