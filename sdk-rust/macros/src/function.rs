//! `#[backstitch::function]`: puts a function that gives the definition in the place of the one that was written.
//!
//! A function, because its name must not get in the way of others: a unit struct or a constant named `order` would turn
//! every `let order = …` of the module into a pattern.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{Error, FnArg, ItemFn, LitStr, Result, ReturnType, Type};

use crate::options::Options;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(options)?;
    let mut function: ItemFn = syn::parse2(item)?;
    let (input, output) = types(&function)?;
    let (attributes, visibility) = (std::mem::take(&mut function.attrs), function.vis.clone());
    let name = function.sig.ident.clone();
    let id = options.id.unwrap_or_else(|| LitStr::new(&name.to_string(), name.span()));
    let calls = options.calls;

    // Nested, so that nothing but the one name comes into the module; and renamed, so that the body can still mean that.
    let inner = Ident::new("handler", Span::mixed_site());
    function.sig.ident = inner.clone();
    function.vis = syn::Visibility::Inherited;
    let handler = match input {
        Some(_) => quote!(#inner),
        None => quote!(|ctx: ::backstitch::Ctx, (): ()| #inner(ctx)),
    };
    let input = input.map_or_else(|| quote!(()), |input| quote!(#input));
    Ok(quote! {
        #(#attributes)*
        #visibility fn #name() -> ::backstitch::Defined<
            #input,
            <#output as ::backstitch::__private::Outcome>::Ok,
        > {
            #function

            ::backstitch::__private::define(#id, || {
                ::backstitch::Function::new(::backstitch::FunctionOptions::new(#id)#(#calls)*, #handler)
            })
        }
    })
}

/// The types of input and result, or what is wrong with the signature.
fn types(function: &ItemFn) -> Result<(Option<Type>, Type)> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return Err(Error::new_spanned(signature.fn_token, "a durable function is an `async fn`"));
    }
    if !signature.generics.params.is_empty() {
        let message = "a durable function has no generic parameters: its input comes as JSON";
        return Err(Error::new_spanned(&signature.generics, message));
    }
    let shape = "a durable function takes a context and at most one input: async fn order(ctx: Ctx, input: Order)";
    let mut arguments = signature.inputs.iter();
    let (Some(FnArg::Typed(_)), input, None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(Error::new_spanned(signature, shape));
    };
    let input = match input {
        None => None,
        Some(FnArg::Typed(input)) => Some((*input.ty).clone()),
        Some(receiver) => return Err(Error::new_spanned(receiver, shape)),
    };
    match &signature.output {
        ReturnType::Type(_, output) => Ok((input, (**output).clone())),
        ReturnType::Default => {
            Err(Error::new_spanned(&signature.ident, "a durable function returns a Result<_, Error>"))
        }
    }
}
