//! What certificates say, and what no certificate says.

use tidegate_testkit::certificates::{Authority, Wanted};

use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn a_certificate_tells_its_names_and_its_last_second() {
    let wanted = Wanted {
        uris: vec!["spiffe://cluster.example/ns/a/sa/b".into()],
        expired: true,
        ..Wanted::names(["a.example", "*.b.example", "10.0.0.9", "::1"])
    };
    let facts = Facts::read(&Authority::new("tests").issue(&wanted).certificate()).unwrap();
    let names: Vec<String> = facts.names.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "a.example",
            "*.b.example",
            "10.0.0.9",
            "::1",
            "spiffe://cluster.example/ns/a/sa/b"
        ]
    );
    assert_eq!(facts.hosts().collect::<Vec<_>>(), ["a.example", "*.b.example"]);
    assert!(facts.subject.starts_with("CN=a.example"), "{}", facts.subject);
    assert!(facts.issuer.starts_with("CN=tests"), "{}", facts.issuer);
    // 2020-12-31T00:00:00Z.
    assert_eq!(facts.expires_at, at(1_609_372_800));
}

#[test]
fn whatever_is_cut_off_or_changed_is_refused_or_read_and_nothing_else() {
    let certificate = Authority::new("tests").server("a.example").certificate();
    for end in 0..certificate.len() {
        assert_eq!(Facts::read(&certificate[..end]), None, "{end} bytes");
    }
    for place in 0..certificate.len() {
        for value in [0, 0x1f, 0x30, 0x7f, 0x80, 0x84, 0xff] {
            let mut changed = certificate.to_vec();
            changed[place] = value;
            _ = Facts::read(&changed);
        }
    }
}

#[test]
fn times_are_read_in_both_forms() {
    let check = |tag, text: &str, expected: Option<u64>| {
        let value = text.as_bytes();
        assert_eq!(time(Element { tag, value }), expected.map(at), "{text}");
    };
    check(der::UTC_TIME, "700101000000Z", Some(0));
    check(der::UTC_TIME, "491231235959Z", Some(2_524_607_999));
    check(der::GENERALIZED_TIME, "20000229123456Z", Some(951_827_696));
    check(der::GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799));
    for wrong in [
        "20001301000000Z",
        "20000229123456",
        "2000022912345Z",
        "+0000229123456Z",
    ] {
        check(der::GENERALIZED_TIME, wrong, None);
    }
}

#[test]
fn names_are_written_so_that_they_fit_a_header() {
    let mut out = String::new();
    escape("a,b\r\nc\u{e9}", &mut out);
    assert_eq!(out, "a\\,b\\0D\\0Ac\\C3\\A9");
    assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]), "1.2.840.113549");
}
