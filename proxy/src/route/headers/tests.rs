use http::{Method, Uri, Version};

use super::*;

fn fields(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let mut fields: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    fields.sort_unstable();
    fields
}

fn with_context(run: impl FnOnce(&Context<'_>)) {
    let uri = Uri::from_static("/");
    run(&Context {
        method: &Method::GET,
        uri: &uri,
        version: Version::HTTP_11,
        client: None,
    });
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn request_level(mutations: impl IntoIterator<Item = Result<Mutation, InvalidField>>) -> HeaderMutations {
    let mutations: Result<Vec<_>, _> = mutations.into_iter().collect();
    HeaderMutations::new(mutations.unwrap(), []).unwrap()
}

#[test]
fn each_way_to_write_does_what_it_says() {
    let check = |write: Write, before: &[(&'static str, &'static str)], after: &[(&str, &str)]| {
        let mut headers = headers(before);
        let level = request_level([Mutation::write("x-a", "new", write)]);
        with_context(|context| level.apply_to_request(&mut headers, context));
        assert_eq!(fields(&headers), after, "{write:?} {before:?}");
    };
    check(Write::Append, &[("x-a", "1")], &[("x-a", "1"), ("x-a", "new")]);
    check(Write::Append, &[], &[("x-a", "new")]);
    check(Write::AddIfAbsent, &[("x-a", "1")], &[("x-a", "1")]);
    check(Write::AddIfAbsent, &[], &[("x-a", "new")]);
    check(Write::Overwrite, &[("x-a", "1")], &[("x-a", "new")]);
    check(Write::Overwrite, &[], &[("x-a", "new")]);
    check(Write::OverwriteIfPresent, &[("x-a", "1")], &[("x-a", "new")]);
    check(Write::OverwriteIfPresent, &[], &[]);
}

#[test]
fn mutations_run_in_their_order_and_empty_made_values_are_not_written() {
    let level = request_level([
        Mutation::remove("x-a"),
        Mutation::write("x-a", "<%REQ(x-b)%>", Write::AddIfAbsent),
        Mutation::write("x-none", "%REQ(x-none)%", Write::Overwrite),
        Mutation::constant(HeaderName::from_static("x-e"), "".parse().unwrap(), Write::Append),
    ]);
    let mut headers = headers(&[("x-a", "1"), ("x-b", "2")]);
    with_context(|context| level.apply_to_request(&mut headers, context));
    assert_eq!(fields(&headers), [("x-a", "<2>"), ("x-b", "2"), ("x-e", "")]);
}

#[test]
fn the_last_level_has_the_last_word() {
    let level = |value| request_level([Mutation::write("x-a", value, Write::Overwrite)]);
    let mut levels = Levels {
        share: level("share"),
        host: level("host"),
        table: level("table"),
        order: MutationOrder::default(),
    };
    let mut result = HeaderMap::new();
    with_context(|context| {
        levels.apply_share_to_request(&mut result, context);
        levels.apply_to_request(&level("route"), &mut result, context);
    });
    assert_eq!(result["x-a"], "table");
    levels.order = MutationOrder::MostSpecificLast;
    with_context(|context| {
        levels.apply_share_to_request(&mut result, context);
        levels.apply_to_request(&level("route"), &mut result, context);
    });
    assert_eq!(result["x-a"], "route");
}

#[test]
fn the_changes_of_a_level_read_what_it_was_given_and_overwrite_before_they_add() {
    let level = request_level([
        Mutation::write("x-a", "added", Write::AddIfAbsent),
        Mutation::write("x-b", "<%REQ(x-b)%>", Write::Overwrite),
        Mutation::write("x-b", "<%REQ(x-b)%>", Write::Append),
        Mutation::write("x-a", "written", Write::Overwrite),
    ]);
    let mut headers = headers(&[("x-b", "1")]);
    with_context(|context| level.apply_to_request(&mut headers, context));
    let expected = [
        ("x-a", "added"),
        ("x-a", "written"),
        ("x-b", "<1>"),
        ("x-b", "<1>"),
    ];
    assert_eq!(fields(&headers), expected);
}

#[test]
fn a_response_can_speak_of_its_request() {
    let mutation = Mutation::write("x-a", "%REQ(x-q)%+%RESP(x-r)%", Write::Overwrite).unwrap();
    let (route, levels) = (HeaderMutations::new([], [mutation]).unwrap(), Levels::default());
    assert_eq!(levels.response_needs(&route), Needs::RequestFields);
    assert_eq!(levels.response_needs(&HeaderMutations::default()), Needs::Nothing);
    let mut response = headers(&[("x-r", "r")]);
    let request = headers(&[("x-q", "q")]);
    with_context(|context| levels.apply_to_response(&route, &mut response, context, &request));
    assert_eq!(response["x-a"], "q+r");
}

#[test]
fn fields_that_frame_a_message_are_out_of_reach() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "upgrade",
        ":path",
        "a b",
        "",
    ] {
        assert!(Mutation::remove(name).is_err(), "{name}");
        assert!(Mutation::write(name, "x", Write::Append).is_err(), "{name}");
    }
    let error = Mutation::write("x", "a\nb", Write::Append).unwrap_err();
    assert_eq!(error.field(), "header value");
}

#[test]
fn a_level_has_a_bound() {
    let one = Mutation::remove("x").unwrap();
    let many = std::iter::repeat_n(one, limits::HEADER_MUTATIONS_MAX + 1);
    let error = HeaderMutations::new(many, []).unwrap_err();
    assert_eq!(error.field(), "request header mutations");
}
