//! Changes of header fields.

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use tidegate_proxy::route::{HeaderMutations, Mutation, MutationRule, Write};

use super::Unsupported;

/// The lists that every level of a route configuration has.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) request_add: Vec<HeaderValueOption>,
    pub(super) request_remove: Vec<String>,
    pub(super) response_add: Vec<HeaderValueOption>,
    pub(super) response_remove: Vec<String>,
}

pub(super) fn lists(mutations: &HeaderMutations) -> Result<Lists, Unsupported> {
    let mut lists = Lists::default();
    split(
        mutations.request(),
        &mut lists.request_add,
        &mut lists.request_remove,
    )
    .map_err(|error| error.within("request headers"))?;
    split(
        mutations.response(),
        &mut lists.response_add,
        &mut lists.response_remove,
    )
    .map_err(|error| error.within("response headers"))?;
    Ok(lists)
}

/// Envoy removes before it writes, and writes over before it adds, by what the message had before. So a field that is written and
/// removed later, or written over or only if it is absent later, has no place in its lists.
fn split(
    mutations: &[Mutation],
    add: &mut Vec<HeaderValueOption>,
    remove: &mut Vec<String>,
) -> Result<(), Unsupported> {
    for mutation in mutations {
        let name = mutation.name().as_str();
        let written = match mutation.rule() {
            MutationRule::Remove => {
                if add.iter().any(is_of(name)) {
                    return Err(Unsupported::new(name, "a field that is written and then removed"));
                }
                remove.push(name.to_owned());
                continue;
            }
            MutationRule::Constant(write, value) => {
                let text = str::from_utf8(value.as_bytes())
                    .map_err(|_| Unsupported::new(name, "a value that is not UTF-8"))?;
                let keep_empty = text.is_empty() && mutation.keeps_empty();
                option(name, text.replace('%', "%%"), write, keep_empty)
            }
            MutationRule::Made(write, template) => {
                option(name, template.to_string(), write, mutation.keeps_empty())
            }
        };
        let appends = written.append_action() == HeaderAppendAction::AppendIfExistsOrAdd;
        if !appends && add.iter().any(is_of(name)) {
            return Err(Unsupported::new(
                name,
                "a field that is written twice, and not added to",
            ));
        }
        add.push(written);
    }
    Ok(())
}

fn is_of(name: &str) -> impl Fn(&HeaderValueOption) -> bool {
    move |option| option.header.as_ref().is_some_and(|header| header.key == name)
}

pub(super) fn option(name: &str, value: String, write: Write, keep_empty: bool) -> HeaderValueOption {
    let action = match write {
        Write::Append => HeaderAppendAction::AppendIfExistsOrAdd,
        Write::AddIfAbsent => HeaderAppendAction::AddIfAbsent,
        Write::Overwrite => HeaderAppendAction::OverwriteIfExistsOrAdd,
        Write::OverwriteIfPresent => HeaderAppendAction::OverwriteIfExists,
    };
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value,
            ..HeaderValue::default()
        }),
        append_action: action.into(),
        keep_empty_value: keep_empty,
        ..HeaderValueOption::default()
    }
}
