//! `#[derive(Event)]`: the name and the schema that `#[event("…", schema = …)]` says.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{DeriveInput, Error, Expr, Ident, LitStr, Result, Token};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = syn::parse2(item)?;
    let mut attributes = item.attrs.iter().filter(|attribute| attribute.path().is_ident("event"));
    let Some(attribute) = attributes.next() else {
        let message = "an event needs a name: add #[event(\"order/created\")]";
        return Err(Error::new_spanned(&item.ident, message));
    };
    if let Some(second) = attributes.next() {
        return Err(Error::new_spanned(second, "an event has one name"));
    }
    let Arguments { name, schema } = attribute.parse_args()?;
    if name.value().is_empty() {
        return Err(Error::new_spanned(name, "an event's name is not empty"));
    }
    let ident = &item.ident;
    let (generics, arguments, bounds) = item.generics.split_for_impl();
    let schema = schema.map(|schema| {
        quote! {
            fn schema() -> ::core::option::Option<::backstitch::__private::Value> {
                ::core::option::Option::Some(#schema)
            }
        }
    });
    Ok(quote! {
        impl #generics ::backstitch::Event for #ident #arguments #bounds {
            const NAME: &'static str = #name;
            #schema
        }
    })
}

/// `"order/created"`, and perhaps `schema = …`.
struct Arguments {
    name: LitStr,
    schema: Option<Expr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Arguments> {
        let name = input.parse()?;
        let mut schema = None;
        if input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let word: Ident = input.parse()?;
            if word != "schema" {
                return Err(Error::new_spanned(word, "an event has a name, and perhaps `schema = …`"));
            }
            input.parse::<Token![=]>()?;
            schema = Some(input.parse()?);
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(Arguments { name, schema })
    }
}
