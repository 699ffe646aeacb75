//! `envoy.extensions.filters.http.lua.v3`: scripts, which are not run; one that does nothing is accepted.

use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::lua_per_route::Override as OfRoute;
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::{Lua, LuaPerRoute};
use envoy_types::pb::google::protobuf::Any;
use tidegate_proxy::filter::{Filter, Override};

use crate::translate::Reject;
use crate::translate::any::{unpack, unsupported};
use crate::translate::notes::Notes;

pub(super) const LUA: &str = "envoy.extensions.filters.http.lua.v3.Lua";
pub(super) const LUA_PER_ROUTE: &str = "envoy.extensions.filters.http.lua.v3.LuaPerRoute";

/// A filter whose script does nothing, in wait for the scripts of routes.
pub(super) fn settings(config: &Any, notes: &mut Notes) -> Result<Filter, Reject> {
    let lua: Lua = unpack(config)?;
    #[expect(deprecated, reason = "it is what control planes send")]
    let inert = is_inert(&lua.inline_code) && lua.default_source_code.as_ref().is_none_or(source_is_inert);
    if !inert {
        return Err(unsupported(notes.place(), config));
    }
    notes.add("", "scripts are not run");
    Ok(Filter::Nothing)
}

/// What a route makes of it.
pub(super) fn per_route(name: &str, config: &Any) -> Result<Override, Reject> {
    let per_route: LuaPerRoute = unpack(config)?;
    match &per_route.r#override {
        Some(OfRoute::Disabled(true)) => Ok(Override::Disabled),
        Some(OfRoute::SourceCode(source)) if source_is_inert(source) => Ok(Override::Enabled),
        None => Ok(Override::Enabled),
        Some(_) => Err(unsupported(format!("typed_per_filter_config['{name}']"), config)),
    }
}

fn source_is_inert(source: &DataSource) -> bool {
    match &source.specifier {
        None => true,
        Some(Specifier::InlineString(code)) => is_inert(code),
        Some(Specifier::InlineBytes(code)) => str::from_utf8(code).is_ok_and(is_inert),
        Some(Specifier::Filename(_) | Specifier::EnvironmentVariable(_)) => false,
    }
}

/// Whether a script has nothing but comments to the end of a line: a long one (`--[[`, `--[=[`) may end before something.
fn is_inert(code: &str) -> bool {
    let mut lines = code.lines().map(str::trim);
    lines.all(|line| line.is_empty() || line.starts_with("--") && !line.starts_with("--["))
}
