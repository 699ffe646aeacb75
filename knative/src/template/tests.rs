//! What templates come to, beside what Go prints for them.

use super::*;

/// Something like a request and its response.
struct Exchange;

struct Request;

struct Header;

impl Object for Exchange {
    fn get(&self, name: &str, _: &[Value<'_>]) -> Option<Value<'_>> {
        Some(match name {
            "Request" => Value::Object(&Request),
            "Code" => Value::Int(200),
            "Small" => Value::Float(0.000_061),
            "Latency" => Value::Float(0.25),
            "Empty" => Value::from(""),
            "TLS" => Value::Nil,
            _ => return None,
        })
    }
}

impl Object for Request {
    fn get(&self, name: &str, _: &[Value<'_>]) -> Option<Value<'_>> {
        Some(match name {
            "Method" => Value::from("GET"),
            "Path" => Value::from("/<a>?b='c'&\"d\"\\\n\u{e9}"),
            "Header" => Value::Made(Box::new(Header)),
            _ => return None,
        })
    }
}

impl Object for Header {
    fn get(&self, name: &str, arguments: &[Value<'_>]) -> Option<Value<'_>> {
        match (name, arguments) {
            ("Get", [Value::Text(name)]) => Some(Value::from(format!("value of {name}"))),
            _ => None,
        }
    }

    fn index(&self, key: &Value<'_>) -> Option<Value<'_>> {
        matches!(key, Value::Text(name) if name == "A").then(|| Value::from("[1 2]"))
    }

    fn entries(&self) -> Option<usize> {
        Some(1)
    }

    fn print(&self) -> String {
        "map[A:[1 2]]".to_owned()
    }
}

fn check(template: &str, expected: &str) {
    let rendered = Template::parse(template).and_then(|template| template.render(&Exchange));
    assert_eq!(rendered.as_deref(), Ok(expected), "{template}");
}

fn refuse(template: &str, expected: &str) {
    let rendered = Template::parse(template).and_then(|template| template.render(&Exchange));
    let error = rendered.unwrap_err().to_string();
    assert!(error.contains(expected), "{template}: {error}");
}

#[test]
fn fields_literals_and_numbers_are_printed_as_go_prints_them() {
    check("", "");
    check("a {{.Code}} b", "a 200 b");
    check("{{.Request.Method}}{{ .Latency }}s", "GET0.25s");
    check("{{.Small}}", "6.1e-05");
    check("{{.TLS}}", "<nil>");
    check(r#"{{"a\"}}"}}{{`b`}}{{1}}{{-2.5}}{{true}}"#, "a\"}}b1-2.5true");
    check("{{.Request.Header}}", "map[A:[1 2]]");
    check(r#"{{.Request.Header.Get "X-A"}}"#, "value of X-A");
    check(r#"{{(.Request.Header).Get "X-A"}}"#, "value of X-A");
    check(r#"{{index .Request.Header "A"}}"#, "[1 2]");
}

#[test]
fn text_in_a_script_is_escaped_as_go_escapes_it() {
    check(
        "{{js .Request.Path}}",
        "/\\u003Ca\\u003E?b\\u003D\\'c\\'\\u0026\\\"d\\\"\\\\\\u000A\u{e9}",
    );
    check("{{.Request.Method | js}}", "GET");
}

#[test]
fn blanks_are_trimmed_and_comments_are_nothing() {
    check("a \n{{- .Code -}}\n b", "a200b");
    check("a{{/* nothing */}}b{{- /* nothing */ -}} c", "abc");
}

#[test]
fn branches_are_taken_by_what_is_true() {
    check("{{if .Empty}}a{{else if .TLS}}b{{else}}c{{end}}", "c");
    check(
        "{{if .Request.Method}}a{{if eq .Code 200 201}}b{{end}}{{end}}",
        "ab",
    );
    check("{{if and .Code (not .Empty)}}a{{end}}", "a");
    check("{{if or .Empty (ge .Code 500)}}a{{else}}b{{end}}", "b");
    check(
        "{{if ne .Request.Method \"GET\"}}a{{end}}{{len .Request.Method}}",
        "3",
    );
}

#[test]
fn values_are_formatted() {
    check(
        r#"{{printf "%s %d %.3f%%" .Request.Method .Code .Latency}}"#,
        "GET 200 0.250%",
    );
    check(r#"{{.Request.Method | printf "%q"}}"#, "\"GET\"");
    check(r#"{{printf "%v" .Small}}"#, "6.1e-05");
}

#[test]
fn what_is_not_the_language_or_not_known_here_is_refused() {
    refuse("{{.Code", "unclosed action");
    refuse("{{}}", "missing value");
    refuse("{{end}}", "unexpected end");
    refuse("{{if .Code}}a", "without its end");
    refuse("{{if .Code}}a{{else}}b{{else}}c{{end}}", "without its end");
    refuse("{{(.Code}}", "unclosed left paren");
    refuse("{{.Code)}}", "unexpected right paren");
    refuse("{{nothing .Code}}", "not defined");
    refuse("{{range .Code}}{{end}}", "not known here");
    refuse("{{$x := 1}}", "unexpected '$'");
    refuse(&"{{if .Code}}".repeat(100), "too deep");
}

#[test]
fn what_is_not_there_is_an_error_of_its_own() {
    refuse("{{.Nothing}}", "can't evaluate field Nothing");
    refuse("{{.TLS.Version}}", "nil pointer");
    refuse("{{.Code.Digits}}", "can't evaluate field Digits");
    refuse(r#"{{"a" .Code}}"#, "non-function");
    refuse(r#"{{printf "%x" .Code}}"#, "printf");
}
