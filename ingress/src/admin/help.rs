//! `/help` and `/`: what can be asked here?

use std::fmt::Write;

use super::endpoint::{Changes, ENDPOINTS};
use crate::stats::Escaped;

/// Every endpoint with what it takes, as Envoy lists them.
pub(super) fn text() -> String {
    let mut text = "admin commands are:\n".to_owned();
    for endpoint in ENDPOINTS {
        let post = match endpoint.changes {
            Changes::Yes => " (POST)",
            Changes::No => "",
        };
        text.push_str(&format!("  /{}{post}: {}\n", endpoint.path, endpoint.about));
        for (name, about) in endpoint.parameters {
            text.push_str(&format!("      {name}: {about}\n"));
        }
    }
    text
}

/// A page with a link or a button for each endpoint, and nothing that runs.
pub(super) fn home() -> String {
    let mut page = "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<title>Envoy Admin</title>\n</head>\n<body>\n\
                    <table class='home-table'>\n<thead><tr><th class='home-data'>Command</th>\
                    <th class='home-data'>Description</th></tr></thead>\n<tbody>\n"
        .to_owned();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| !endpoint.path.is_empty()) {
        let path = endpoint.path;
        let command = match endpoint.changes {
            Changes::No => format!("<a href='{path}'>{path}</a>"),
            Changes::Yes => format!(
                "<form action='{path}' method='post' class='home-form'><button>{path}</button></form>"
            ),
        };
        let mut about = String::new();
        // Writing to a string cannot fail.
        _ = Escaped(&mut about).write_str(endpoint.about);
        page.push_str(&format!(
            "<tr><td class='home-data'>{command}</td><td class='home-data'>{about}</td></tr>\n"
        ));
    }
    page.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    page
}
