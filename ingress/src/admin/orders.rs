//! The endpoints that tell the program what to do.

use http::StatusCode;

use super::Admin;
use super::answer::Answer;
use super::parameters::Parameters;
use crate::lifecycle::{DrainOrder, Manner, Scope, ServerState};

pub(super) fn ready(admin: &Admin) -> Answer {
    let state = admin.settings().lifecycle.state();
    let status = match state {
        ServerState::Live => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Answer::text(status, format!("{}\n", state.name()))
}

/// `graceful`, `skip_exit` and `inboundonly` count when they are there, whatever they say.
pub(super) fn drain_listeners(admin: &Admin, parameters: &Parameters) -> Answer {
    let manner = match (parameters.has("skip_exit"), parameters.has("graceful")) {
        (true, _) => Manner::GracefulWithoutExit,
        (false, true) => Manner::Graceful,
        (false, false) => Manner::AtOnce,
    };
    let scope = match parameters.has("inboundonly") {
        true => Scope::Inbound,
        false => Scope::All,
    };
    admin.settings().lifecycle.drain(DrainOrder { manner, scope });
    ok()
}

pub(super) fn health_fail(admin: &Admin) -> Answer {
    admin.settings().lifecycle.health_fail();
    ok()
}

pub(super) fn health_ok(admin: &Admin) -> Answer {
    admin.settings().lifecycle.health_ok();
    ok()
}

pub(super) fn quit(admin: &Admin) -> Answer {
    admin.settings().lifecycle.quit();
    ok()
}

pub(super) fn reset_counters(admin: &Admin) -> Answer {
    let admin = admin.clone();
    Answer::written(super::answer::TEXT, move |out| {
        admin.settings().stats.reset_counters(&admin.facts());
        out.write_str("OK\n")
    })
}

pub(super) fn reopen_logs(admin: &Admin) -> Answer {
    (admin.settings().reopen_logs)();
    ok()
}

fn ok() -> Answer {
    Answer::ok("OK\n")
}
