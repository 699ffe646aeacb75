//! What does an action mean, and what belongs to an `if`?

use super::TemplateError;
use super::functions::FUNCTIONS;
use super::lex::{Piece, Word};

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// As it is.
    Text(String),
    /// What a pipeline comes to.
    Print(Pipeline),
    /// The first of these whose pipeline is true, or else the rest.
    If(Vec<(Pipeline, Vec<Self>)>, Vec<Self>),
}

/// Commands, each of which gets what the one before came to as its last argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipeline(pub(super) Vec<Command>);

/// Something that comes to a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub(super) head: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// A part of a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// A field of the root, or the root.
    Field(Vec<String>),
    /// A pipeline in parentheses, and a field of what it comes to.
    Inner(Box<Pipeline>, Vec<String>),
    /// A function.
    Function(&'static str),
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Nothing.
    Nil,
}

/// How deep `if` and parentheses may stand in each other; deeper is an error.
const DEPTH_MAX: usize = 32;

/// The nodes of a whole template.
pub(super) fn template(pieces: &[Piece]) -> Result<Vec<Node>, TemplateError> {
    let mut rest = pieces;
    let (nodes, end) = nodes(&mut rest, 0)?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(syntax(format!("unexpected {end}"))),
    }
}

/// Whether any of these nodes asks for a field of this name.
pub(super) fn mention(nodes: &[Node], name: &str) -> bool {
    nodes.iter().any(|node| match node {
        Node::Text(_) => false,
        Node::Print(pipeline) => pipeline.mentions(name),
        Node::If(branches, otherwise) => {
            let mut branches = branches.iter();
            mention(otherwise, name)
                || branches.any(|(condition, body)| condition.mentions(name) || mention(body, name))
        }
    })
}

impl Pipeline {
    fn mentions(&self, name: &str) -> bool {
        let mut operands = self
            .0
            .iter()
            .flat_map(|command| std::iter::once(&command.head).chain(&command.arguments));
        operands.any(|operand| match operand {
            Operand::Field(names) => names.iter().any(|other| other == name),
            Operand::Inner(inner, names) => inner.mentions(name) || names.iter().any(|other| other == name),
            _ => false,
        })
    }
}

/// Nodes up to what ends them: nothing, `end` or `else`, which is said and whose other words are left.
fn nodes<'a>(rest: &mut &'a [Piece], depth: usize) -> Result<(Vec<Node>, Option<&'a str>), TemplateError> {
    let mut nodes = Vec::new();
    while let Some((piece, after)) = rest.split_first() {
        let words = match piece {
            Piece::Text(text) => {
                *rest = after;
                nodes.push(Node::Text(text.clone()));
                continue;
            }
            Piece::Action(words) => words,
        };
        match words.first() {
            Some(Word::Name(name)) if matches!(name.as_str(), "else" | "end") => {
                return Ok((nodes, Some(name)));
            }
            Some(Word::Name(name)) if name == "if" => {
                nodes.push(conditional(rest, depth + 1)?);
            }
            _ => {
                *rest = after;
                nodes.push(Node::Print(whole_pipeline(words, depth)?));
            }
        }
    }
    Ok((nodes, None))
}

/// From `if` to its `end`.
fn conditional(rest: &mut &[Piece], depth: usize) -> Result<Node, TemplateError> {
    if depth > DEPTH_MAX {
        return Err(syntax("too deep".to_owned()));
    }
    let mut branches = Vec::new();
    let mut condition = Some(condition(rest, depth)?);
    let mut otherwise = Vec::new();
    loop {
        let (body, end) = nodes(rest, depth)?;
        match condition.take() {
            Some(condition) => branches.push((condition, body)),
            None => otherwise = body,
        }
        match end {
            Some("end") if action(rest).len() == 1 => {
                *rest = rest.get(1..).unwrap_or_default();
                return Ok(Node::If(branches, otherwise));
            }
            Some("else") if otherwise.is_empty() && !branches.is_empty() => {
                condition = match action(rest) {
                    [_else] => {
                        *rest = rest.get(1..).unwrap_or_default();
                        None
                    }
                    [_else, Word::Name(name), ..] if name == "if" => Some(self::condition(rest, depth)?),
                    _ => return Err(syntax("unexpected words after else".to_owned())),
                };
            }
            _ => return Err(syntax("an if without its end".to_owned())),
        }
    }
}

/// The words of the action that comes next.
fn action<'a>(rest: &&'a [Piece]) -> &'a [Word] {
    match rest.first() {
        Some(Piece::Action(words)) => words,
        _ => &[],
    }
}

/// What stands behind `if`.
fn condition(rest: &mut &[Piece], depth: usize) -> Result<Pipeline, TemplateError> {
    let words = action(rest);
    let start = words
        .iter()
        .position(|word| matches!(word, Word::Name(name) if name == "if"));
    let words = words.get(start.unwrap_or_default() + 1..).unwrap_or_default();
    *rest = rest.get(1..).unwrap_or_default();
    whole_pipeline(words, depth)
}

fn whole_pipeline(words: &[Word], depth: usize) -> Result<Pipeline, TemplateError> {
    let mut rest = words;
    let pipeline = pipeline(&mut rest, depth)?;
    match rest.first() {
        None => Ok(pipeline),
        Some(_) => Err(syntax("unexpected right paren".to_owned())),
    }
}

/// Commands up to a closing parenthesis or the end.
fn pipeline(rest: &mut &[Word], depth: usize) -> Result<Pipeline, TemplateError> {
    if depth > DEPTH_MAX {
        return Err(syntax("too deep".to_owned()));
    }
    let mut commands = Vec::new();
    loop {
        let mut operands = Vec::new();
        while let Some(operand) = operand(rest, depth)? {
            operands.push(operand);
        }
        let mut operands = operands.into_iter();
        let head = operands
            .next()
            .ok_or_else(|| syntax("missing value for command".to_owned()))?;
        commands.push(Command {
            head,
            arguments: operands.collect(),
        });
        match rest.first() {
            Some(Word::Pipe) => *rest = rest.get(1..).unwrap_or_default(),
            _ => return Ok(Pipeline(commands)),
        }
    }
}

/// The next operand of a command; none where it ends.
fn operand(rest: &mut &[Word], depth: usize) -> Result<Option<Operand>, TemplateError> {
    let Some((word, after)) = rest.split_first() else {
        return Ok(None);
    };
    let operand = match word {
        Word::Pipe | Word::Close => return Ok(None),
        Word::Chained(_) => return Err(syntax("unexpected field".to_owned())),
        Word::Field(names) => Operand::Field(names.clone()),
        Word::Text(text) => Operand::Text(text.clone()),
        Word::Int(number) => Operand::Int(*number),
        Word::Float(number) => Operand::Float(*number),
        Word::Name(name) => named(name)?,
        Word::Open => {
            *rest = after;
            let inner = Box::new(pipeline(rest, depth + 1)?);
            let Some((Word::Close, after)) = rest.split_first() else {
                return Err(syntax("unclosed left paren".to_owned()));
            };
            let (names, after) = match after.split_first() {
                Some((Word::Chained(names), after)) => (names.clone(), after),
                _ => (Vec::new(), after),
            };
            *rest = after;
            return Ok(Some(Operand::Inner(inner, names)));
        }
    };
    *rest = after;
    Ok(Some(operand))
}

fn named(name: &str) -> Result<Operand, TemplateError> {
    match name {
        "true" => Ok(Operand::Bool(true)),
        "false" => Ok(Operand::Bool(false)),
        "nil" => Ok(Operand::Nil),
        "range" | "with" | "define" | "template" | "block" | "break" | "continue" => {
            Err(syntax(format!("{name} is not known here")))
        }
        _ => {
            let known = FUNCTIONS.iter().find(|known| **known == name);
            let known = known.ok_or_else(|| syntax(format!("function {name:?} not defined")))?;
            Ok(Operand::Function(known))
        }
    }
}

fn syntax(problem: String) -> TemplateError {
    TemplateError::Syntax(problem)
}
