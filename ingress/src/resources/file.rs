//! Which resources does a file hold?

use std::fs;
use std::path::Path;

use bytes::Bytes;
use prost::Message;
use tidegate_xds::resource::{Kind, Raw};
use tidegate_xds::text::{Format, Unknown, parse};
use tidegate_xds::translate::bootstrap::Source;
use tidegate_xds::wire::DiscoveryResponse;

use super::{Resource, Resources, refusal, top_fields};
use crate::bootstrap::{Report, load};
use crate::flags::Flags;

pub(super) fn read(path: &Path) -> Result<Resources, Report> {
    let name = path.display().to_string();
    let content = content(path, &name)?;
    if Format::of_file(&name) == Format::Json {
        let top = top_fields(&content);
        if top.contains_key("configs") {
            return Resources::of_dump(&name, &content);
        }
        if top.contains_key("resources") {
            return response(name, &content);
        }
    } else if content
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"resources:"))
    {
        return response(name, &content);
    }
    bootstrap(path, name)
}

fn content(path: &Path, name: &str) -> Result<Vec<u8>, Report> {
    fs::read(path).map_err(|error| refusal(name, None, format!("unable to read file: {name}: {error}")))
}

fn bootstrap(path: &Path, name: String) -> Result<Resources, Report> {
    let flags = Flags {
        config_path: Some(path.to_owned()),
        ..Flags::of("tidegate")
    };
    let loaded = load(&flags)?;
    let resources = loaded.bootstrap.resources.into_iter();
    let mut all = Resources {
        list: resources
            .map(|resource| Resource {
                kind: resource.kind,
                raw: resource.raw,
                place: loaded.places.of(&resource.path).unwrap_or(resource.path),
            })
            .collect(),
        remarks: loaded.ignored,
        ..Resources::default()
    };
    let sources = [
        ("clusters", &loaded.bootstrap.clusters),
        ("listeners", &loaded.bootstrap.listeners),
    ];
    for (what, source) in sources {
        match source.as_ref().map(|config| &config.source) {
            Some(Source::Path { path, .. }) => {
                let name = path.display().to_string();
                let content = content(path, &name)?;
                all.list.extend(response(name, &content)?.list);
            }
            Some(_) => all.remarks.push(format!(
                "more {what} come from a control plane; a running program knows them (--admin)"
            )),
            None => {}
        }
    }
    all.name = name;
    Ok(all)
}

/// Reads a `DiscoveryResponse`.
fn response(name: String, content: &[u8]) -> Result<Resources, Report> {
    let format = Format::of_file(&name);
    let parsed = parse(content, format, RESPONSE, Unknown::Refused).map_err(|problem| {
        let text = problem.to_string();
        let prefix = format!("{}: ", problem.at);
        let message = text.strip_prefix(&prefix).unwrap_or(&text).to_owned();
        refusal(&name, Some(format!("{name}:{}", problem.at)), message)
    })?;
    let undecodable = |_| refusal(&name, None, "it is no response of a control plane");
    let decoded = DiscoveryResponse::decode(parsed.encode()).map_err(undecodable)?;
    let mut list = Vec::new();
    for (index, any) in decoded.resources.into_iter().enumerate() {
        let place = format!("{name}:{}", parsed.position(&format!("resources[{index}]")));
        let Some(kind) = Kind::of_url(&any.type_url) else {
            let message = format!("there are no resources of the type '{}'", any.type_url);
            return Err(refusal(&name, Some(place), message));
        };
        list.push(Resource {
            kind,
            raw: raw(&any.value),
            place,
        });
    }
    Ok(Resources {
        name,
        list,
        ..Resources::default()
    })
}

const RESPONSE: &str = "envoy.service.discovery.v3.DiscoveryResponse";

/// The first field of every resource is its name.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

pub(super) fn raw(body: &Bytes) -> Raw {
    let name = Named::decode(body.clone()).unwrap_or_default().name;
    Raw::new(name, "", body.clone())
}
