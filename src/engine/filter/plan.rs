//! A filter as it is evaluated: the parser's tree with every name resolved. What filters do not have is refused here,
//! by name, so that evaluating meets nothing unknown.

use std::rc::Rc;
use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SelectExpr, operators};

use super::FilterError;
use super::pattern::Pattern;
use super::value::{Chars, Kind, Value};
use crate::limits::FILTER_PATTERN_BYTES_MAX;

/// A part of a filter.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Constant),
    Event,
    Awaited,
    /// The variable of the loop that is this far inside, counted from the outermost.
    Local(usize),
    Field(Box<Node>, String),
    Has(Box<Node>, String),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    If(Box<[Node; 3]>),
    Binary(Operator, Box<[Node; 2]>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Call(Function, Box<Node>),
    Matches(Box<Node>, Box<Pattern>),
    Loop(Box<Loop>),
}

/// What stands in the filter's text.
#[derive(Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Arc<[u8]>),
    Type(Kind),
}

/// What has two operands, both of which are always evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    Index,
    Contains,
    StartsWith,
    EndsWith,
}

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Bool,
    Dyn,
    Type,
}

/// What goes through a list, or through the keys of an object.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Node,
    /// The predicate; what `map` makes only of items that pass has one, too.
    pub(super) condition: Option<Node>,
    /// What `map` makes of an item.
    pub(super) made: Option<Node>,
}

/// The loops of CEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Constant {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Constant::Null => Value::Null,
            Constant::Bool(yes) => Value::Bool(*yes),
            Constant::Int(int) => Value::Int(*int),
            Constant::Uint(uint) => Value::Uint(*uint),
            Constant::Double(double) => Value::Double(*double),
            Constant::Text(text) => Value::Text(Chars::Lent(text)),
            Constant::Bytes(bytes) => Value::Bytes(Rc::from(&**bytes)),
            Constant::Type(kind) => Value::Type(*kind),
        }
    }

    /// The size that counts as work each time: what is lent costs nothing.
    pub(super) fn copied_bytes(&self) -> usize {
        if let Constant::Bytes(bytes) = self { bytes.len() } else { 0 }
    }
}

impl Operator {
    /// As it is written.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::Equal => "==",
            Operator::Unequal => "!=",
            Operator::Less => "<",
            Operator::AtMost => "<=",
            Operator::Greater => ">",
            Operator::AtLeast => ">=",
            Operator::In => "in",
            Operator::Index => "[]",
            Operator::Contains => "contains",
            Operator::StartsWith => "startsWith",
            Operator::EndsWith => "endsWith",
        }
    }

    fn of(name: &str) -> Option<Operator> {
        Some(match name {
            operators::ADD => Operator::Add,
            operators::SUBSTRACT => Operator::Subtract,
            operators::MULTIPLY => Operator::Multiply,
            operators::DIVIDE => Operator::Divide,
            operators::MODULO => Operator::Modulo,
            operators::EQUALS => Operator::Equal,
            operators::NOT_EQUALS => Operator::Unequal,
            operators::LESS => Operator::Less,
            operators::LESS_EQUALS => Operator::AtMost,
            operators::GREATER => Operator::Greater,
            operators::GREATER_EQUALS => Operator::AtLeast,
            operators::IN => Operator::In,
            operators::INDEX => Operator::Index,
            _ => return None,
        })
    }

    fn method(name: &str) -> Option<Operator> {
        Some(match name {
            "contains" => Operator::Contains,
            "startsWith" => Operator::StartsWith,
            "endsWith" => Operator::EndsWith,
            _ => return None,
        })
    }
}

impl Function {
    /// As it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Function::Size => "size",
            Function::Int => "int",
            Function::Uint => "uint",
            Function::Double => "double",
            Function::Text => "string",
            Function::Bytes => "bytes",
            Function::Bool => "bool",
            Function::Dyn => "dyn",
            Function::Type => "type",
        }
    }

    fn named(name: &str) -> Option<Function> {
        let all = [
            Function::Size,
            Function::Int,
            Function::Uint,
            Function::Double,
            Function::Text,
            Function::Bytes,
            Function::Bool,
            Function::Dyn,
            Function::Type,
        ];
        all.into_iter().find(|function| function.name() == name)
    }
}

impl LoopKind {
    fn named(name: &str) -> Option<LoopKind> {
        Some(match name {
            "all" => LoopKind::All,
            "exists" => LoopKind::Exists,
            "exists_one" | "existsOne" => LoopKind::ExistsOne,
            "filter" => LoopKind::Filter,
            "map" => LoopKind::Map,
            _ => return None,
        })
    }
}

/// Resolves what the parser made of a filter.
pub(super) fn plan(expression: &IdedExpr) -> Result<Node, FilterError> {
    Planner::default().node(expression)
}

#[derive(Default)]
struct Planner<'a> {
    locals: Vec<&'a str>,
    pattern_bytes: usize,
}

fn refused<T>(message: String) -> Result<T, FilterError> {
    Err(FilterError::Syntax(message))
}

impl<'a> Planner<'a> {
    fn node(&mut self, expression: &'a IdedExpr) -> Result<Node, FilterError> {
        match &expression.expr {
            Expr::Literal(literal) => Ok(Node::Constant(constant(literal))),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let SelectExpr { operand, field, test } = select;
                let operand = Box::new(self.node(operand)?);
                Ok(if *test { Node::Has(operand, field.clone()) } else { Node::Field(operand, field.clone()) })
            }
            Expr::List(list) if list.optional_indices.is_empty() => Ok(Node::List(self.nodes(&list.elements)?)),
            Expr::Map(map) => self.map(map),
            Expr::Call(call) => self.call(call),
            _ => refused("filters have no messages and no optional values".into()),
        }
    }

    fn nodes(&mut self, expressions: &'a [IdedExpr]) -> Result<Vec<Node>, FilterError> {
        expressions.iter().map(|expression| self.node(expression)).collect()
    }

    fn boxed(&mut self, expression: &'a IdedExpr) -> Result<Box<Node>, FilterError> {
        self.node(expression).map(Box::new)
    }

    fn variable(&self, name: &str) -> Result<Node, FilterError> {
        if let Some(at) = self.locals.iter().rposition(|local| *local == name) {
            return Ok(Node::Local(at));
        }
        match name {
            "event" => Ok(Node::Event),
            "async" => Ok(Node::Awaited),
            _ => match Kind::named(name) {
                Some(kind) => Ok(Node::Constant(Constant::Type(kind))),
                None => {
                    refused(format!("there is no variable `{name}`, only `event`, and `async` in the filter of a wait"))
                }
            },
        }
    }

    fn map(&mut self, map: &'a MapExpr) -> Result<Node, FilterError> {
        let mut entries = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            match &entry.expr {
                EntryExpr::MapEntry(entry) if !entry.optional => {
                    entries.push((self.node(&entry.key)?, self.node(&entry.value)?));
                }
                _ => return refused("filters have no messages and no optional values".into()),
            }
        }
        Ok(Node::Map(entries))
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Node, FilterError> {
        let name = call.func_name.as_str();
        let Some(target) = &call.target else { return self.function(name, &call.args) };
        if let Some(kind) = LoopKind::named(name) {
            return self.walk(kind, name, target, &call.args);
        }
        match call.args.as_slice() {
            [pattern] if name == "matches" => self.matches(target, pattern),
            [other] if let Some(operator) = Operator::method(name) => self.binary(operator, target, other),
            [] if name == "size" => Ok(Node::Call(Function::Size, self.boxed(target)?)),
            args => refused(format!("there is no method `{name}` of {} arguments", args.len())),
        }
    }

    fn function(&mut self, name: &'a str, args: &'a [IdedExpr]) -> Result<Node, FilterError> {
        match args {
            _ if name == operators::LOGICAL_AND => Ok(Node::And(self.nodes(args)?)),
            _ if name == operators::LOGICAL_OR => Ok(Node::Or(self.nodes(args)?)),
            [only] if name == operators::LOGICAL_NOT => Ok(Node::Not(self.boxed(only)?)),
            [only] if name == operators::NEGATE => Ok(Node::Negate(self.boxed(only)?)),
            [only] if name == operators::HAS => match self.node(only)? {
                Node::Field(operand, field) => Ok(Node::Has(operand, field)),
                _ => refused("`has` takes a field, as in `has(event.data.id)`".into()),
            },
            [only] if let Some(function) = Function::named(name) => Ok(Node::Call(function, self.boxed(only)?)),
            [left, right] if let Some(operator) = Operator::of(name) => self.binary(operator, left, right),
            [text, pattern] if name == "matches" => self.matches(text, pattern),
            [condition, yes, no] if name == operators::CONDITIONAL => {
                Ok(Node::If(Box::new([self.node(condition)?, self.node(yes)?, self.node(no)?])))
            }
            _ => refused(format!("there is no function `{name}` of {} arguments", args.len())),
        }
    }

    fn binary(&mut self, operator: Operator, left: &'a IdedExpr, right: &'a IdedExpr) -> Result<Node, FilterError> {
        Ok(Node::Binary(operator, Box::new([self.node(left)?, self.node(right)?])))
    }

    fn matches(&mut self, text: &'a IdedExpr, pattern: &'a IdedExpr) -> Result<Node, FilterError> {
        let Expr::Literal(LiteralValue::String(pattern)) = &pattern.expr else {
            return refused("the pattern of `matches` must stand in the filter, as text".into());
        };
        let pattern = pattern.inner();
        self.pattern_bytes += pattern.len();
        if self.pattern_bytes > FILTER_PATTERN_BYTES_MAX {
            return refused(format!("its patterns have more than {FILTER_PATTERN_BYTES_MAX} bytes together"));
        }
        Ok(Node::Matches(self.boxed(text)?, Box::new(Pattern::compile(pattern)?)))
    }

    fn walk(
        &mut self,
        kind: LoopKind,
        name: &str,
        range: &'a IdedExpr,
        args: &'a [IdedExpr],
    ) -> Result<Node, FilterError> {
        let range = self.node(range)?;
        let (variable, condition, made) = match (kind, args) {
            (LoopKind::Map, [variable, made]) => (variable, None, Some(made)),
            (LoopKind::Map, [variable, condition, made]) => (variable, Some(condition), Some(made)),
            (LoopKind::Map, _) => return refused("`map` takes a variable, perhaps a condition, and a value".into()),
            (_, [variable, condition]) => (variable, Some(condition), None),
            _ => return refused(format!("`{name}` takes a variable and a condition")),
        };
        let Expr::Ident(variable) = &variable.expr else {
            return refused(format!("`{name}` takes the name of a variable first"));
        };
        self.locals.push(variable);
        let condition = condition.map(|condition| self.node(condition)).transpose()?;
        let made = made.map(|made| self.node(made)).transpose()?;
        self.locals.pop();
        Ok(Node::Loop(Box::new(Loop { kind, range, condition, made })))
    }
}

fn constant(literal: &LiteralValue) -> Constant {
    match literal {
        LiteralValue::Null => Constant::Null,
        LiteralValue::Boolean(yes) => Constant::Bool(*yes.inner()),
        LiteralValue::Int(int) => Constant::Int(*int.inner()),
        LiteralValue::UInt(uint) => Constant::Uint(*uint.inner()),
        LiteralValue::Double(double) => Constant::Double(*double.inner()),
        LiteralValue::String(text) => Constant::Text(text.inner().to_owned()),
        LiteralValue::Bytes(bytes) => Constant::Bytes(bytes.inner().into()),
    }
}
