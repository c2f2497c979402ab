//! Tokens to an [`Interface`]. Stops at the first problem, and says what would be accepted.
//!
//! ```text
//! file      = docs "interface" NAME "=" NUMBER "{" { struct | function } "}"
//! struct    = docs "struct" NAME "{" [ field { "," field } [ "," ] ] "}"
//! field     = docs NAME ":" type
//! function  = docs "fn" NAME "(" items ")" [ "->" "(" items ")" ] ";"
//! items     = [ NAME ":" type { "," NAME ":" type } [ "," ] ]
//! type      = "u8" | "u16" | "u32" | "u64" | "i64" | "bool" | "cbuf" | "batch" "<" NAME ">"
//! ```

use crate::ast::{Docs, Function, Interface, Item, Name, Number, Scalar, Struct, Type};
use crate::lexer::{Kind, Token, tokens};
use crate::source::{Problem, Source};

/// What a type may be, as messages say it.
pub const TYPES: &str = "`u8`, `u16`, `u32`, `u64`, `i64`, `bool`, `cbuf` or `batch<STRUCT>`";

pub fn parse(source: &Source) -> Result<Interface, Problem> {
    let tokens = tokens(&source.text)?;
    let mut parser = Parser {
        source,
        tokens,
        next: 0,
    };
    let interface = parser.interface()?;
    match parser.peek().kind {
        Kind::End => Ok(interface),
        _ => Err(parser.expected("the end of the file (a file holds one interface)")),
    }
}

struct Parser<'a> {
    source: &'a Source,
    /// Ends with [`Kind::End`], which is never passed.
    tokens: Vec<Token<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &Token<'a> {
        let last = self.tokens.len() - 1;
        &self.tokens[self.next.min(last)]
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn expected(&self, what: &str) -> Problem {
        let token = self.peek();
        let text = match token.kind {
            Kind::Doc(_) => {
                "a doc comment documents nothing here; write it right above `interface`, `struct`, `fn` or a field, or use `//`".into()
            }
            kind => format!("expected {what}, found {}", kind.text()),
        };
        Problem::new(&token.at, text)
    }

    fn is(&self, text: &str) -> bool {
        matches!(self.peek().kind, Kind::Sign(t) | Kind::Word(t) if t == text)
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = self.is(text);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, text: &str, what: &str) -> Result<Token<'a>, Problem> {
        match self.is(text) {
            true => Ok(self.take()),
            false => Err(self.expected(what)),
        }
    }

    fn name(&mut self, what: &str) -> Result<Name, Problem> {
        match self.peek().kind {
            Kind::Word(text) => {
                let at = self.take().at;
                let text = text.to_string();
                Ok(Name { text, at })
            }
            _ => Err(self.expected(what)),
        }
    }

    fn docs(&mut self) -> Docs {
        let mut docs = Docs::new();
        while let Kind::Doc(text) = self.peek().kind {
            docs.push(text.to_string());
            self.take();
        }
        docs
    }

    fn interface(&mut self) -> Result<Interface, Problem> {
        let docs = self.docs();
        self.expect("interface", "`interface NAME = NUMBER { ... }`")?;
        let name = self.name("the interface's name")?;
        self.expect("=", "`=` and the interface's number")?;
        let number = self.number()?;
        let open = self.expect("{", "`{`")?;
        let mut interface = Interface {
            docs,
            name,
            number,
            structs: Vec::new(),
            functions: Vec::new(),
        };
        loop {
            let docs = self.docs();
            if self.accept("struct") {
                interface.structs.push(self.structure(docs)?);
            } else if self.accept("fn") {
                interface.functions.push(self.function(docs)?);
            } else if !docs.is_empty() {
                return Err(self.expected("`fn` or `struct` after the doc comment"));
            } else if self.accept("}") {
                return Ok(interface);
            } else {
                return Err(self.inside("`fn`, `struct` or `}`", &open));
            }
        }
    }

    /// As [`Self::expected`]; at the end of the file, names the brace that is still open.
    fn inside(&self, what: &str, open: &Token) -> Problem {
        let mut problem = self.expected(what);
        if self.peek().kind == Kind::End {
            let line = self.source.line(open.at.start);
            problem.text = format!("{}; the `{{` of line {line} is still open", problem.text);
        }
        problem
    }

    fn number(&mut self) -> Result<Number, Problem> {
        let Kind::Number(digits) = self.peek().kind else {
            return Err(self.expected("the interface's number, 1 to 65535"));
        };
        let at = self.take().at;
        match digits.parse() {
            Ok(0) => Err(Problem::new(
                &at,
                "number 0 is the lifecycle interface, which every component has; expected 1 to 65535",
            )),
            Ok(value) => Ok(Number { value, at }),
            Err(_) => Err(Problem::new(
                &at,
                format!("the number {digits} is out of range; expected 1 to 65535"),
            )),
        }
    }

    fn structure(&mut self, docs: Docs) -> Result<Struct, Problem> {
        let name = self.name("the struct's name")?;
        let open = self.expect("{", "`{`")?;
        let mut fields = Vec::new();
        loop {
            let field_docs = self.docs();
            if field_docs.is_empty() && self.accept("}") {
                return Ok(Struct { docs, name, fields });
            }
            let what = match field_docs.is_empty() {
                true => "a field (`name: type`) or `}`",
                false => "a field (`name: type`) after the doc comment",
            };
            if !matches!(self.peek().kind, Kind::Word(_)) {
                return Err(self.inside(what, &open));
            }
            fields.push(self.item(what, field_docs)?);
            if !self.accept(",") && !self.is("}") {
                return Err(self.inside("`,` or `}`", &open));
            }
        }
    }

    fn function(&mut self, docs: Docs) -> Result<Function, Problem> {
        let name = self.name("the function's name")?;
        self.expect("(", "`(`")?;
        let arguments = self.items("an argument (`name: type`) or `)`")?;
        let mut results = Vec::new();
        if self.accept("->") {
            let open = self.expect("(", "`(` and the results (`name: type`)")?;
            results = self.items("a result (`name: type`) or `)`")?;
            if results.is_empty() {
                let text = "expected at least one result; a function without results has no `->`";
                return Err(Problem::new(&open.at, text));
            }
            self.expect(";", "`;`")?;
        } else {
            self.expect(";", "`->` or `;`")?;
        }
        Ok(Function {
            docs,
            name,
            arguments,
            results,
        })
    }

    /// After `(`, up to and with `)`.
    fn items(&mut self, what: &str) -> Result<Vec<Item>, Problem> {
        let mut items = Vec::new();
        while !self.accept(")") {
            items.push(self.item(what, Docs::new())?);
            if !self.accept(",") && !self.is(")") {
                return Err(self.expected("`,` or `)`"));
            }
        }
        Ok(items)
    }

    fn item(&mut self, what: &str, docs: Docs) -> Result<Item, Problem> {
        let name = self.name(what)?;
        self.expect(":", "`:` and a type")?;
        let start = self.peek().at.start;
        let ty = self.ty()?;
        let end = self.tokens[self.next - 1].at.end;
        let ty_at = start..end;
        Ok(Item {
            docs,
            name,
            ty,
            ty_at,
        })
    }

    fn ty(&mut self) -> Result<Type, Problem> {
        let name = self.name(&format!("a type: {TYPES}"))?;
        if let Some(scalar) = Scalar::named(&name.text) {
            return Ok(Type::Scalar(scalar));
        }
        match name.text.as_str() {
            "cbuf" => Ok(Type::Cbuf),
            "batch" => {
                self.expect("<", "`<` and the struct that the batch holds")?;
                let element = self.name("the struct that the batch holds")?;
                if self.is("<") {
                    let text = format!(
                        "`{}<...>` cannot be in a batch; expected the name of a struct",
                        element.text
                    );
                    return Err(Problem::new(&element.at, text));
                }
                self.expect(">", "`>`")?;
                Ok(Type::Batch(element))
            }
            _ => Ok(Type::Named(name.text)),
        }
    }
}
