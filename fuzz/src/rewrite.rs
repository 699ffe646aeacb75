//! Does a rewrite, whatever a client sends, leave a path that is one and stays one?
//!
//! Input: a path.

use tidegate_proxy::normalize::path::{self, PathPolicy};
use tidegate_proxy::route::{PathMatch, PathRewrite};

/// Rewrites that put parts of a path beside each other, leave some out and repeat others.
const REGEXES: [(&str, &str); 5] = [
    ("^/([^/]*)/(.*)$", r"/\2\1"),
    ("-", ""),
    ("a(.?)", r"\1\1.\0"),
    ("^", "/x"),
    ("", "/"),
];

/// Runs one input.
///
/// # Panics
/// When what comes out is no path, or would be another path if it were normalised again.
pub fn run(data: &[u8]) {
    let Ok(input) = str::from_utf8(data) else {
        return;
    };
    let policy = PathPolicy::default();
    // A route sees what is left after this.
    let normal = match path::normalize(input, &policy) {
        Ok(Some(changed)) => changed.path,
        Ok(None) => input.to_owned(),
        Err(_) => return,
    };
    let matcher = PathMatch::prefix("/a");
    let prefixes = ["/", "/x/", "/."].map(PathRewrite::prefix);
    let regexes = REGEXES.map(|(pattern, with)| PathRewrite::regex(pattern, with));
    for rewrite in prefixes.into_iter().chain(regexes) {
        let rewrite = rewrite.expect("it is valid");
        if let Ok(Some(path)) = rewrite.path(&normal, &matcher, &policy) {
            assert!(path.starts_with('/'), "{rewrite:?} made {path:?} of {normal:?}");
            let again = path::normalize(&path, &policy);
            assert_eq!(
                again,
                Ok(None),
                "{rewrite:?} made {path:?} of {normal:?}, which is not final"
            );
        }
    }
}
