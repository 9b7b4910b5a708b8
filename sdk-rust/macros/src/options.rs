//! What may stand in `#[backstitch::function(…)]`, read into tokens that build a `Function`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitStr, Path, Result, Token, bracketed, parenthesized};

/// The function's id, and the calls that configure it.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) id: Option<LitStr>,
    pub(crate) calls: Vec<TokenStream>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Options> {
        let mut options = Options::default();
        while !input.is_empty() {
            options.parse_one(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

impl Options {
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        let key: Ident = input.parse()?;
        match key.to_string().as_str() {
            "id" => self.id = Some(id(input)?),
            "name" => {
                let name = text(input)?;
                self.calls.push(quote!(.name(#name)));
            }
            "on" => self.calls.push(on(input)?),
            "schedule" => self.calls.push(schedule(input)?),
            "cancel_on" => self.calls.push(cancel_on(input)?),
            "on_failure" => {
                input.parse::<Token![=]>()?;
                let handler: Path = input.parse()?;
                self.calls.push(quote!(.on_failure(#handler)));
            }
            "retry" => self.calls.push(retry(input)?),
            "timeouts" => self.calls.push(timeouts(input)?),
            _ => {
                let message = format!(
                    "`{key}` is no option: there are id, name, on, schedule, cancel_on, on_failure, retry and timeouts"
                );
                return Err(Error::new_spanned(key, message));
            }
        }
        Ok(())
    }
}

fn id(input: ParseStream<'_>) -> Result<LitStr> {
    let id = text(input)?;
    if id.value().is_empty() || id.value().contains('/') {
        return Err(Error::new_spanned(id, "a function's id is not empty and contains no slash"));
    }
    Ok(id)
}

fn text(input: ParseStream<'_>) -> Result<LitStr> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `= Event`, `= [Event, …]` or `(Event, when = "…")`.
fn on(input: ParseStream<'_>) -> Result<TokenStream> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        if !input.peek(syn::token::Bracket) {
            let event: Path = input.parse()?;
            return Ok(quote!(.on::<#event>()));
        }
        let list;
        bracketed!(list in input);
        let events = Punctuated::<Path, Token![,]>::parse_terminated(&list)?;
        let events = events.iter();
        return Ok(quote!(#(.on::<#events>())*));
    }
    let inner;
    parenthesized!(inner in input);
    let event: Path = inner.parse()?;
    if inner.is_empty() {
        return Ok(quote!(.on::<#event>()));
    }
    let when = when(&inner)?;
    Ok(quote!(.on_when::<#event>(#when)))
}

/// `(cron = "…", tz = "…")` or `(every = "15m")`, with the rest of a schedule's options.
fn schedule(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut times = TokenStream::new();
    let mut rest = TokenStream::new();
    let place = input.span();
    each(input, |key, input| {
        match key.to_string().as_str() {
            "cron" => {
                let line: LitStr = input.parse()?;
                times = quote!(::backstitch::Schedule::cron(#line));
            }
            "every" => {
                let interval = duration(input)?;
                times = quote!(::backstitch::Schedule::every(#interval));
            }
            name @ ("tz" | "id") => {
                let text: LitStr = input.parse()?;
                rest.extend(call(name, &quote!(#text)));
            }
            name @ ("offset" | "jitter" | "catch_up") => rest.extend(call(name, &duration(input)?)),
            "overlap" => {
                let policy: Ident = input.parse()?;
                rest.extend(quote!(.overlap(::backstitch::Overlap::#policy)));
            }
            "input" => {
                let value: Expr = input.parse()?;
                rest.extend(quote!(.input(#value)));
            }
            _ => {
                let message = format!(
                    "`{key}` is no part of a schedule: there are cron, tz, every, offset, id, jitter, overlap, catch_up and input"
                );
                return Err(Error::new_spanned(key, message));
            }
        }
        Ok(())
    })?;
    if times.is_empty() {
        return Err(Error::new(place, "a schedule says when: cron = \"0 3 * * *\" or every = \"15m\""));
    }
    Ok(quote!(.schedule(#times #rest)))
}

/// `(Event, when = "…")`.
fn cancel_on(input: ParseStream<'_>) -> Result<TokenStream> {
    let inner;
    parenthesized!(inner in input);
    let event: Path = inner.parse()?;
    if inner.is_empty() {
        let message = "which runs does it cancel? add when = \"async.data.id == event.data.id\", or the like";
        return Err(Error::new_spanned(event, message));
    }
    let when = when(&inner)?;
    Ok(quote!(.cancel_on::<#event>(#when)))
}

/// `, when = "…"`, at the end of a list.
fn when(inner: ParseStream<'_>) -> Result<LitStr> {
    inner.parse::<Token![,]>()?;
    let key: Ident = inner.parse()?;
    if key != "when" {
        return Err(Error::new_spanned(key, "after the event comes when = \"…\""));
    }
    let when = text(inner)?;
    if inner.peek(Token![,]) {
        inner.parse::<Token![,]>()?;
    }
    Ok(when)
}

fn retry(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut policy = quote!(::backstitch::Retry::default());
    let mut rest = TokenStream::new();
    each(input, |key, input| {
        let value: TokenStream = match key.to_string().as_str() {
            "attempts" => {
                let attempts: Expr = input.parse()?;
                policy = quote!(::backstitch::Retry::attempts(#attempts));
                return Ok(());
            }
            "initial_interval" => call("initial_interval", &duration(input)?),
            "max_interval" => call("max_interval", &duration(input)?),
            "factor" => {
                let factor: Expr = input.parse()?;
                quote!(.factor((#factor) as f64))
            }
            "jitter" => {
                let share: Expr = input.parse()?;
                quote!(.jitter((#share) as f64))
            }
            "non_retryable" => {
                let list;
                bracketed!(list in input);
                let names = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?;
                let names = names.iter();
                quote!(.non_retryable([#(#names),*]))
            }
            _ => {
                let message = format!(
                    "`{key}` is no part of a retry policy: there are attempts, initial_interval, factor, max_interval, \
                     jitter and non_retryable"
                );
                return Err(Error::new_spanned(key, message));
            }
        };
        rest.extend(value);
        Ok(())
    })?;
    Ok(quote!(.retry(#policy #rest)))
}

fn timeouts(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut timeouts = quote!(::backstitch::Timeouts::default());
    each(input, |key, input| {
        let name = key.to_string();
        if !["start", "run", "invocation"].contains(&name.as_str()) {
            let message = format!("`{key}` is no time-out of a function: there are start, run and invocation");
            return Err(Error::new_spanned(key, message));
        }
        timeouts.extend(call(&name, &duration(input)?));
        Ok(())
    })?;
    Ok(quote!(.timeouts(#timeouts)))
}

/// Reads `(key = value, …)`, leaving each value to `read`.
fn each(input: ParseStream<'_>, mut read: impl FnMut(&Ident, ParseStream<'_>) -> Result<()>) -> Result<()> {
    let inner;
    parenthesized!(inner in input);
    while !inner.is_empty() {
        let key: Ident = inner.parse()?;
        inner.parse::<Token![=]>()?;
        read(&key, &inner)?;
        if !inner.is_empty() {
            inner.parse::<Token![,]>()?;
        }
    }
    Ok(())
}

fn call(name: &str, value: &TokenStream) -> TokenStream {
    let name = Ident::new(name, proc_macro2::Span::call_site());
    quote!(.#name(#value))
}

/// A text such as "1h30m", read at compile time; or any expression of type `Duration`.
fn duration(input: ParseStream<'_>) -> Result<TokenStream> {
    if !input.peek(LitStr) {
        let expression: Expr = input.parse()?;
        return Ok(quote!(#expression));
    }
    let text: LitStr = input.parse()?;
    let Some(ms) = milliseconds(&text.value()) else {
        let message = "not a duration: write integers with the units ms, s, m, h, d, w, such as \"1h30m\"";
        return Err(Error::new_spanned(text, message));
    };
    Ok(quote!(::core::time::Duration::from_millis(#ms)))
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    (!text.is_empty()).then_some(total)
}
