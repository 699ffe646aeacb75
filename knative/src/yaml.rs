//! From text to trees: the documents of a file, every node with its place, aliases expanded within bounds.

mod builder;
mod node;
mod scalar;

pub(crate) use node::{Content, Entry, Node, Scalar};
pub(crate) use scalar::ScalarType;

use granit_parser::{Event, Marker, Parser, ScanError};

use crate::limits::{DOCUMENTS_MAX, FILE_BYTES_MAX, NESTING_MAX};
use crate::problem::Position;
use crate::report::Report;
use builder::Builder;

/// The documents of `text` that are sound; what is wrong with the others goes to `report`.
///
/// A document of which any part is broken is left out as a whole. Empty documents are skipped.
pub(crate) fn documents(text: &str, report: &Report) -> Vec<Node> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file is longer than {} MiB", FILE_BYTES_MAX >> 20);
        report.add(Position::START, "", message, "split it into several files");
        return Vec::new();
    }
    let options = granit_parser::options! {
        emit_comments: false,
        block_nesting_limit: NESTING_MAX,
        flow_nesting_limit: NESTING_MAX,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::new(report);
    let mut documents = Vec::new();
    let mut seen = 0;
    // Where the last value stands, if nothing was written there.
    let mut unwritten = None;
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => {
                refuse_open_end(text, unwritten, report);
                return documents;
            }
            Some(Ok((Event::DocumentStart(..), span))) => {
                seen += 1;
                if seen > DOCUMENTS_MAX {
                    let message = format!("the file holds more than {DOCUMENTS_MAX} documents");
                    report.add(position(&span.start), "", message, "split it into several files");
                    return documents;
                }
                builder.begin();
            }
            Some(Ok((Event::DocumentEnd, _))) => documents.extend(builder.finish()),
            Some(Ok((event, span))) => {
                let at = position(&span.start);
                if event.is_node() {
                    unwritten = if event.scalar().is_some() && span.is_empty() {
                        Some(at)
                    } else {
                        None
                    };
                }
                builder.event(event, at);
            }
            Some(Err(error)) => {
                builder.abandon();
                if !resume(&mut parser, &error, report) {
                    return documents;
                }
            }
        }
    }
}

/// Tells a file that ends in `key:`; it is legal YAML, but hardly ever the whole file.
fn refuse_open_end(text: &str, unwritten: Option<Position>, report: &Report) {
    if let Some(position) = unwritten.filter(|_| text.trim_end().ends_with(':')) {
        let hint = "the file may be cut off; write null if nothing belongs here";
        report.add(position, "", "the file ends where a value has to come", hint);
    }
}

/// Tells a syntax error; whether another document follows that can be read.
fn resume<'t, T: granit_parser::BorrowedInput<'t>>(
    parser: &mut Parser<'t, T>,
    error: &ScanError,
    report: &Report,
) -> bool {
    report.add(
        position(error.marker()),
        "",
        error.info(),
        "the document is no valid YAML: check indentation, quotes and brackets",
    );
    parser.proceed_next_document().unwrap_or(false)
}

/// The parser counts columns from 0.
fn position(marker: &Marker) -> Position {
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position {
        line: clamp(marker.line()).max(1),
        column: clamp(marker.col()).saturating_add(1),
    }
}
