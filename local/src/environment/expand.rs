//! How does Kubernetes expand `$(NAME)` in values, commands and arguments?
//!
//! `$(NAME)` becomes the variable's value; of an unknown variable it stays as it is. `$$` stands for one `$`, so that
//! `$$(NAME)` is the text `$(NAME)`. Every other `$` is a `$`. source: Kubernetes `third_party/forked/golang/expansion`

use std::collections::BTreeMap;

/// The text with its references to `variables` expanded.
#[must_use]
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            after
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|name| name.split_once(')')) {
            match variables.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            after
        } else {
            expanded.push('$');
            after
        };
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let variables = [("A", "a"), ("B", "$(A)"), ("EMPTY", "")];
        let variables = variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert_eq!(expand(text, &variables), expected, "{text:?}");
    }

    #[test]
    fn references_expand_as_in_kubernetes() {
        check("plain", "plain");
        check("$(A)", "a");
        check("x$(A)y$(EMPTY)z", "xayz");
        check("$(B)", "$(A)");
        check("$(UNKNOWN)", "$(UNKNOWN)");
        check("$$(A)", "$(A)");
        check("$$$(A)", "$a");
        check("$$", "$");
        check("$", "$");
        check("$A ${A}", "$A ${A}");
        check("$(A", "$(A");
        check("$()", "$()");
        check("$($(A))", "$($(A))");
        check("$(A)$$$$(A)", "a$$(A)");
    }
}
