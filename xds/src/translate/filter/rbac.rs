//! `envoy.extensions.filters.http.rbac.v3`: rules about who may do what. Without any, the filter lets everything pass.

use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::{Rbac, RbacPerRoute};
use envoy_types::pb::google::protobuf::Any;
use tidegate_proxy::filter::{Filter, Override};

use crate::translate::Reject;
use crate::translate::any::{unpack, unsupported, unsupported_field};
use crate::translate::notes::Notes;

pub(super) const SETTINGS: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
pub(super) const PER_ROUTE: &str = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute";

/// A filter without rules.
pub(super) fn settings(config: &Any, notes: &mut Notes) -> Result<Filter, Reject> {
    let rbac: Rbac = unpack(config)?;
    if rules(&rbac) {
        return Err(unsupported_field(notes.place(), "rules"));
    }
    notes.add_set(&[(
        "shadow_rules",
        rbac.shadow_rules.is_some() || rbac.shadow_matcher.is_some(),
    )]);
    Ok(Filter::Nothing)
}

/// What a route makes of it: without a filter of its own none runs.
pub(super) fn per_route(name: &str, config: &Any) -> Result<Override, Reject> {
    let per_route: RbacPerRoute = unpack(config)?;
    match per_route.rbac {
        None => Ok(Override::Disabled),
        Some(rbac) if rules(&rbac) => Err(unsupported(format!("typed_per_filter_config['{name}']"), config)),
        Some(_) => Ok(Override::Replaced(Filter::Nothing)),
    }
}

/// Whether it restricts anything, a rule that never matches included.
fn rules(rbac: &Rbac) -> bool {
    rbac.rules.is_some() || rbac.matcher.is_some()
}
