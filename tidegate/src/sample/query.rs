//! Which number does a query parameter hold?

use http::Uri;

/// The parameter `name` of the query, `default` if it is not there, and at most `max`.
///
/// # Errors
/// The sentence that the client gets: it names the parameter and what fits.
pub(super) fn number(uri: &Uri, name: &str, default: u64, max: u64) -> Result<u64, String> {
    let pairs = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.into_iter().find(|(found, _)| *found == name) else {
        return Ok(default);
    };
    match value.parse() {
        Ok(number) if number <= max => Ok(number),
        _ => Err(format!(
            "query parameter `{name}` must be a whole number from 0 to {max}, not `{value}`\n"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &'static str, expected: Result<u64, &str>) {
        let uri = Uri::from_static(query);
        let found = number(&uri, "ms", 100, 500);
        match expected {
            Ok(number) => assert_eq!(found, Ok(number), "{query}"),
            Err(part) => assert!(found.is_err_and(|error| error.contains(part)), "{query}"),
        }
    }

    #[test]
    fn a_number_is_read_defaulted_and_bounded() {
        check("/", Ok(100));
        check("/?", Ok(100));
        check("/?ms=7", Ok(7));
        check("/?a=b&ms=500&ms=1", Ok(500));
        check("/?sms=7", Ok(100));
        check("/?ms=501", Err("from 0 to 500, not `501`"));
        check("/?ms=-1", Err("not `-1`"));
        check("/?ms=", Err("`ms`"));
    }
}
