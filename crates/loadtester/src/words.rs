//! The words of a `helm` or `kubectl` command, which is run without a shell.
//!
//! Words are separated by white space. A quotation mark at the beginning of a word, or after `=`, quotes as in a shell: `'...'` as it is, `"..."` with `\"` and
//! `\\`. Everywhere else marks and backslashes are themselves, because commands like `-p {"a":1}` and `--set a\.b=c` are in use. Nothing is expanded. Where a
//! quotation does not end, all marks are themselves.

/// The words of a command.
pub fn split(text: &str) -> Vec<String> {
    quoted(text).unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect())
}

/// `None` if a quotation does not end.
fn quoted(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    // Whether a mark here would quote.
    let mut begins = true;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character.is_whitespace() {
            words.extend(word.take());
            begins = true;
        } else if begins && matches!(character, '\'' | '"') {
            quotation(character, &mut rest, word.get_or_insert_default())?;
        } else {
            word.get_or_insert_default().push(character);
            begins = character == '=';
        }
    }
    words.extend(word);
    Some(words)
}

/// What is left of a quotation, to the mark at its end.
fn quotation(mark: char, rest: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            end if end == mark => return Some(()),
            '\\' if mark == '"' => match rest.next()? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_without_quotations_are_split_at_white_space() {
        assert_eq!(split("  test  podinfo\t--x\u{2003}y\n"), ["test", "podinfo", "--x", "y"]);
        assert_eq!(split(""), Vec::<String>::new());
        assert_eq!(split(r"--set a\.b=c\ d"), ["--set", r"a\.b=c\", "d"]);
        assert_eq!(split(r#"-p {"spec":{"a":"it's"}}"#), ["-p", r#"{"spec":{"a":"it's"}}"#]);
        assert_eq!(split(r#"--set a."b.c"=1"#), ["--set", r#"a."b.c"=1"#]);
    }

    #[test]
    fn quotations_hold_words_together() {
        let run = r#"run x --overrides='{ "apiVersion": "v1" }' -- sh -c "echo \"a\" \\ \n 'b'" '' end"#;
        assert_eq!(
            split(run),
            ["run", "x", r#"--overrides={ "apiVersion": "v1" }"#, "--", "sh", "-c", r#"echo "a" \ \n 'b'"#, "", "end"]
        );
        assert_eq!(split(r#"'a b'"c d"e"#), ["a bc de"]);
    }

    #[test]
    fn a_quotation_without_end_is_none() {
        assert_eq!(split(r#"get -l "a b"#), ["get", "-l", "\"a", "b"]);
        assert_eq!(split("get 'a b"), ["get", "'a", "b"]);
    }
}
