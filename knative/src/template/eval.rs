//! What does a template come to?

use super::parse::{Command, Node, Operand, Pipeline};
use super::value::{Object, Value};
use super::{TemplateError, functions};

/// Writes what these nodes say of `root`.
pub(super) fn nodes(nodes: &[Node], root: &dyn Object, into: &mut String) -> Result<(), TemplateError> {
    for node in nodes {
        match node {
            Node::Text(text) => into.push_str(text),
            Node::Print(pipeline) => value_of(pipeline, root)?.print(into),
            Node::If(branches, otherwise) => {
                let mut chosen = otherwise;
                for (condition, body) in branches {
                    if value_of(condition, root)?.is_true() {
                        chosen = body;
                        break;
                    }
                }
                self::nodes(chosen, root, into)?;
            }
        }
    }
    Ok(())
}

fn value_of<'a>(pipeline: &'a Pipeline, root: &'a dyn Object) -> Result<Value<'a>, TemplateError> {
    let mut last = None;
    for command in &pipeline.0 {
        last = Some(run(command, last, root)?);
    }
    last.ok_or_else(|| failed("empty command".to_owned()))
}

fn run<'a>(
    command: &'a Command,
    piped: Option<Value<'a>>,
    root: &'a dyn Object,
) -> Result<Value<'a>, TemplateError> {
    if command.arguments.is_empty() && piped.is_none() {
        return operand(&command.head, &[], root);
    }
    let mut arguments = Vec::with_capacity(command.arguments.len() + 1);
    for argument in &command.arguments {
        arguments.push(operand(argument, &[], root)?);
    }
    arguments.extend(piped);
    match &command.head {
        Operand::Function(name) => functions::call(name, arguments),
        Operand::Field(_) | Operand::Inner(..) => operand(&command.head, &arguments, root),
        literal if arguments.is_empty() => operand(literal, &[], root),
        _ => Err(failed("can't give argument to non-function".to_owned())),
    }
}

/// The value of an operand; `arguments` are for the last field that it names.
fn operand<'a>(
    operand: &'a Operand,
    arguments: &[Value<'_>],
    root: &'a dyn Object,
) -> Result<Value<'a>, TemplateError> {
    Ok(match operand {
        Operand::Field(names) => follow(Value::Object(root), names, arguments)?,
        Operand::Inner(pipeline, names) => follow(value_of(pipeline, root)?, names, arguments)?,
        Operand::Function(name) => functions::call(name, Vec::new())?,
        Operand::Text(text) => Value::from(text.as_str()),
        Operand::Int(number) => Value::Int(*number),
        Operand::Float(number) => Value::Float(*number),
        Operand::Bool(value) => Value::Bool(*value),
        Operand::Nil => Value::Nil,
    })
}

fn follow<'a>(
    start: Value<'a>,
    names: &[String],
    arguments: &[Value<'_>],
) -> Result<Value<'a>, TemplateError> {
    let Some((name, further)) = names.split_first() else {
        return Ok(start);
    };
    let arguments_here = if further.is_empty() { arguments } else { &[] };
    match start {
        // What is borrowed from the root lives on; what was made lives as long as it is looked at.
        Value::Object(object) => {
            let found = object.get(name, arguments_here);
            follow(found.ok_or_else(|| missing(name))?, further, arguments)
        }
        Value::Made(object) => {
            let found = object.get(name, arguments_here).ok_or_else(|| missing(name))?;
            Ok(owned(follow(found, further, arguments)?))
        }
        Value::Nil => Err(failed(format!("nil pointer evaluating .{name}"))),
        _ => Err(missing(name)),
    }
}

/// The same value without what it borrows from; something with parts becomes its text.
fn owned<'b>(value: Value<'_>) -> Value<'b> {
    match value {
        Value::Nil => Value::Nil,
        Value::Bool(value) => Value::Bool(value),
        Value::Int(value) => Value::Int(value),
        Value::Float(value) => Value::Float(value),
        other => Value::from(other.printed().into_owned()),
    }
}

fn missing(name: &str) -> TemplateError {
    failed(format!("can't evaluate field {name}"))
}

pub(super) fn failed(problem: String) -> TemplateError {
    TemplateError::Execution(problem)
}
