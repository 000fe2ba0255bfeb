//! Writes all mutants of a file into it, each behind a switch.
//!
//! ```text
//!   a < b        (if active(7) { a <= b } else if active(8) { a == b } else { a < b })
//!   { body }     { if active(9) { return 0; } body }
//!   P if g =>    P if !active(10) && (if active(11) { true } else { g }) =>
//! ```
//!
//! Only one mutant is active at a time, so what stands in for an expression holds the text of its
//! operands as it was, and other mutants only in the last branch: every change is an insertion. Where
//! each of them is in the new text is noted, so that an error of the compiler leads back to a mutant.

use std::ops::Range;

use proc_macro2::LineColumn;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::Failure;
use crate::list::{Genre, Mutant, Place, Span};

/// A file with its mutants in it.
pub struct Planted {
    pub text: String,
    /// What stands in for an original, and which mutant it is.
    pub mutated: Vec<(Range<usize>, usize)>,
    /// Originals with what was put around them, and their mutants.
    pub around: Vec<(Range<usize>, Vec<usize>)>,
    /// Each `match`, and the mutants that lack one of its arms, in their order.
    pub matches: Vec<(Range<usize>, Vec<usize>)>,
    /// Mutants for which there was no place.
    pub homeless: Vec<usize>,
}

/// Plants `mutants`, which are all of this file, each with its number.
pub fn plant(source: &str, mutants: &[(usize, &Mutant)]) -> Result<Planted, Failure> {
    let file = syn::parse_file(source)?;
    let lines = source.match_indices('\n').map(|(at, _)| at + 1);
    let mut planter = Planter {
        source,
        lines: std::iter::once(0).chain(lines).collect(),
        left: mutants.to_vec(),
        before: Vec::new(),
        behind: Vec::new(),
        around: Vec::new(),
        matches: Vec::new(),
    };
    planter.visit_file(&file);
    Ok(planter.write())
}

/// New text, with the parts of it that are mutants.
struct Insertion {
    at: usize,
    text: String,
    mutated: Vec<(Range<usize>, usize)>,
}

impl Insertion {
    fn new(at: usize, text: impl Into<String>) -> Self {
        Self {
            at,
            text: text.into(),
            mutated: Vec::new(),
        }
    }

    /// `if active(number) { text }`
    fn branch(&mut self, number: usize, text: &str) {
        self.text += &format!("if crate::mutants::active({number}) {{ ");
        let start = self.text.len();
        self.text += text;
        self.mutated.push((start..self.text.len(), number));
        self.text += " }";
    }
}

struct Planter<'a> {
    source: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    left: Vec<(usize, &'a Mutant)>,
    /// What begins something: at one place, the outer before the inner.
    before: Vec<Insertion>,
    /// What ends it: at one place, the inner before the outer.
    behind: Vec<Insertion>,
    /// As in [`Planted`], but of the source.
    around: Vec<(Range<usize>, Vec<usize>)>,
    matches: Vec<(Range<usize>, Vec<usize>)>,
}

impl<'a> Planter<'a> {
    fn offset(&self, place: LineColumn) -> usize {
        let line = self.lines[place.line - 1];
        let rest = &self.source[line..];
        let column = rest.char_indices().nth(place.column);
        line + column.map_or(rest.len(), |(at, _)| at)
    }

    fn range(&self, node: &impl Spanned) -> Range<usize> {
        let span = node.span();
        self.offset(span.start())..self.offset(span.end())
    }

    /// Takes the mutants of this genre and place that nobody has planted yet.
    fn take(&mut self, genre: Genre, span: proc_macro2::Span) -> Vec<(usize, &'a Mutant)> {
        let place = |place: LineColumn| Place {
            line: place.line,
            column: place.column + 1,
        };
        let span = Span {
            start: place(span.start()),
            end: place(span.end()),
        };
        self.left
            .extract_if(.., |(_, mutant)| {
                mutant.genre == genre && mutant.span == span
            })
            .collect()
    }

    /// Puts what stands in for `original` around it.
    fn choose(&mut self, original: Range<usize>, instead: Vec<(usize, String)>) {
        if instead.is_empty() {
            return;
        }
        let mut opening = Insertion::new(original.start, "(");
        for (number, text) in &instead {
            opening.branch(*number, text);
            opening.text += " else ";
        }
        opening.text += "{ ";
        self.before.push(opening);
        self.behind.push(Insertion::new(original.end, " })"));
        self.around.push((
            original,
            instead.into_iter().map(|(number, _)| number).collect(),
        ));
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) else {
            return;
        };
        let Some(body) = first.span().join(last.span()) else {
            return;
        };
        let mutants = self.take(Genre::FnValue, body);
        let inside = self.offset(block.brace_token.span.open().end());
        let mut opening = Insertion::new(inside, " ");
        for (number, mutant) in &mutants {
            opening.branch(*number, &format!("return {};", mutant.replacement));
        }
        self.before.push(opening);
        self.around.push((
            self.range(signature).start..self.range(block).end,
            mutants.into_iter().map(|(number, _)| number).collect(),
        ));
    }

    /// Puts a guard before an arm that is to be deleted.
    fn delete(&mut self, arm: &syn::Arm) -> Option<usize> {
        let (number, _) = self.take(Genre::MatchArm, arm.span()).pop()?;
        let off = format!("!crate::mutants::active({number})");
        match &arm.guard {
            Some((_, guard)) => {
                let guard = self.range(guard.as_ref());
                self.before.push(Insertion::new(guard.start, off + " && ("));
                self.behind.push(Insertion::new(guard.end, ")"));
            }
            None => {
                let pattern = self.range(&arm.pat);
                self.before
                    .push(Insertion::new(pattern.end, format!(" if {off}")));
            }
        }
        Some(number)
    }

    fn write(mut self) -> Planted {
        // At one place, what ends there comes before what begins.
        self.behind.reverse();
        self.behind.append(&mut self.before);
        self.behind.sort_by_key(|insertion| insertion.at);
        let mut text = String::new();
        let mut mutated = Vec::new();
        let mut copied = 0;
        // How much longer the new text is, from which place on.
        let mut shifts = vec![(0, 0)];
        for insertion in self.behind {
            text += &self.source[copied..insertion.at];
            copied = insertion.at;
            let moved = insertion
                .mutated
                .into_iter()
                .map(|(range, number)| (text.len() + range.start..text.len() + range.end, number));
            mutated.extend(moved);
            text += &insertion.text;
            shifts.push((insertion.at, text.len() - insertion.at));
        }
        text += &self.source[copied..];
        let shifted = |range: Range<usize>| {
            // All that was inserted at its ends counts as inside.
            let first = shifts.partition_point(|(at, _)| *at < range.start);
            let last = shifts.partition_point(|(at, _)| *at <= range.end);
            let start = range.start + shifts[first.saturating_sub(1)].1;
            start..range.end + shifts[last - 1].1
        };
        let all = |ranges: Vec<(Range<usize>, Vec<usize>)>| {
            let ranges = ranges.into_iter();
            ranges
                .map(|(range, numbers)| (shifted(range), numbers))
                .collect()
        };
        Planted {
            mutated,
            around: all(self.around),
            matches: all(self.matches),
            homeless: self.left.iter().map(|(number, _)| *number).collect(),
            text,
        }
    }
}

impl<'ast> Visit<'ast> for Planter<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        // `let` may stand beside `&&` in a condition and nowhere deeper.
        if !has_let(&expr.left) && !has_let(&expr.right) {
            let (left, right) = (self.range(&expr.left), self.range(&expr.right));
            let instead = self.take(Genre::BinaryOperator, expr.op.span());
            let instead = instead.into_iter().map(|(number, mutant)| {
                let [left, right] = [&left, &right].map(|range| &self.source[range.clone()]);
                (number, format!("{left} {} {right}", mutant.replacement))
            });
            let instead = instead.collect();
            self.choose(left.start..right.end, instead);
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &'ast syn::ExprUnary) {
        let operand = &self.source[self.range(&expr.expr)];
        let instead = self.take(Genre::UnaryOperator, expr.op.span());
        let instead = instead
            .into_iter()
            .map(|(number, _)| (number, operand.to_owned()))
            .collect();
        self.choose(self.range(expr), instead);
        visit::visit_expr_unary(self, expr);
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        let deleted = expr
            .arms
            .iter()
            .filter_map(|arm| self.delete(arm))
            .collect();
        self.matches.push((self.range(expr), deleted));
        visit::visit_expr_match(self, expr);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let Some((_, guard)) = &arm.guard {
            let instead = self.take(Genre::MatchArmGuard, guard.span());
            let instead = instead
                .into_iter()
                .map(|(number, mutant)| (number, mutant.replacement.clone()))
                .collect();
            self.choose(self.range(guard.as_ref()), instead);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expr: &'ast syn::ExprStruct) {
        let whole = self.range(expr);
        let mut instead = Vec::new();
        for field in &expr.fields {
            for (number, _) in self.take(Genre::StructField, field.span()) {
                let field = self.range(field);
                let comma = self.source[field.end..].find(',').map_or(0, |n| n + 1);
                let before = &self.source[whole.start..field.start];
                let behind = &self.source[field.end + comma..whole.end];
                instead.push((number, format!("{before}{behind}")));
            }
        }
        self.choose(whole, instead);
        visit::visit_expr_struct(self, expr);
    }

    // What the compiler evaluates cannot be switched.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
}

/// Whether `expr` is a condition that binds something.
fn has_let(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}
