//! `#[derive(Event)]`: one constant, taken from `#[event("…")]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, LitStr, Result};

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
    let name: LitStr = attribute.parse_args()?;
    if name.value().is_empty() {
        return Err(Error::new_spanned(name, "an event's name is not empty"));
    }
    let ident = &item.ident;
    let (generics, arguments, bounds) = item.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::backstitch::Event for #ident #arguments #bounds {
            const NAME: &'static str = #name;
        }
    })
}
