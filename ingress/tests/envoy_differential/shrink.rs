//! A difference, made small: routes, settings and parts of the request are left out as long as the two still differ.

use serde_json::Value;

use super::ask::Ask;
use super::pair::Pair;
use super::world;

/// How many smaller worlds are tried for one difference.
const TRIES_MAX: usize = 150;

/// A difference as small as it got, with the seed of its world.
pub(crate) async fn shown(pair: &mut Pair, seed: u64, mut world: Value, mut ask: Ask) -> String {
    let published = pair.publish(&world).await;
    published.expect("both took it");
    if !differs(pair, None, &ask).await {
        return format!("TIDEGATE_DIFFERENTIAL={seed}: {ask:?} differs only now and then");
    }
    let mut tries = 0;
    let mut place = 0;
    while tries < TRIES_MAX {
        let mut left = place;
        let mut smaller = world.clone();
        if !without(&mut smaller, &mut left) {
            break;
        }
        tries += 1;
        if is_served(&smaller) && differs(pair, Some(&smaller), &ask).await {
            world = smaller;
        } else {
            place += 1;
        }
    }
    let published = pair.publish(&world).await;
    published.expect("both took it");
    let mut smaller = ask.smaller();
    while let Some(less) = smaller.pop() {
        if differs(pair, None, &less).await {
            smaller = less.smaller();
            ask = less;
        }
    }
    let (ours, envoys) = pair.ask(&ask).await;
    format!("TIDEGATE_DIFFERENTIAL={seed}: {ask:?}\nours:  {ours:?}\nEnvoy: {envoys:?}\n{world}")
}

async fn differs(pair: &mut Pair, world: Option<&Value>, ask: &Ask) -> bool {
    if let Some(world) = world
        && pair.publish(world).await.is_err()
    {
        return false;
    }
    let (ours, envoys) = pair.ask(ask).await;
    ours != envoys
}

/// Takes out the part with this number, counted from outside in; `false` when there are fewer.
fn without(value: &mut Value, place: &mut usize) -> bool {
    match value {
        Value::Array(items) => {
            if *place < items.len() {
                items.remove(*place);
                return true;
            }
            *place -= items.len();
            items.iter_mut().any(|item| without(item, place))
        }
        Value::Object(fields) => {
            let names: Vec<_> = fields.keys().filter(|name| is_optional(name)).cloned().collect();
            if let Some(name) = names.get(*place) {
                fields.remove(name);
                return true;
            }
            *place -= names.len();
            fields.iter_mut().any(|(_, field)| without(field, place))
        }
        _ => false,
    }
}

/// Whether a message is still one that both take without this field. Lists of required things get shorter by their items.
fn is_optional(name: &str) -> bool {
    const REQUIRED: [&str; 28] = [
        "@type",
        "exact",
        "suffix",
        "config",
        "name",
        "match",
        "route",
        "redirect",
        "direct_response",
        "domains",
        "virtual_hosts",
        "header",
        "key",
        "cluster",
        "cluster_header",
        "weighted_clusters",
        "clusters",
        "weight",
        "status",
        "pattern",
        "regex",
        "prefix",
        "path",
        "path_separated_prefix",
        "safe_regex",
        "start",
        "end",
        "default_value",
    ];
    !REQUIRED.contains(&name)
}

/// Whether both would take it: each virtual host has a domain, each split a share.
fn is_served(world: &Value) -> bool {
    let hosts = world.get("virtual_hosts").and_then(Value::as_array);
    let mut hosts = hosts.into_iter().flatten();
    hosts.all(|host| {
        let some = |value: &Value, name| {
            value
                .get(name)
                .and_then(Value::as_array)
                .is_some_and(|all| !all.is_empty())
        };
        let routes = host.get("routes").and_then(Value::as_array);
        let mut splits = routes
            .into_iter()
            .flatten()
            .filter_map(|route| route.pointer("/route/weighted_clusters"));
        some(host, "domains") && splits.all(|split| world::has_weight(split) && some(split, "clusters"))
    })
}
