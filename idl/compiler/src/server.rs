//! The server side: a trait to implement, and the skeleton that dispatches to it.

use crate::ast::{Function, Interface, Type};
use crate::rust::{
    cbufs, from_words, function_docs, ident, method, received_type, sent_type, to_words, tuple,
};
use proc_macro2::TokenStream;
use quote::quote;

pub fn server(interface: &Interface) -> Vec<TokenStream> {
    let about = format!(" What a provider of `{}` implements.", interface.name.text);
    let functions = interface.functions.iter().map(declaration);
    let arms = interface.functions.iter().map(arm);
    vec![
        quote! {
            #[doc = #about]
            pub trait Server {
                #(#functions)*
            }
        },
        quote! {
            /// Answers one invocation: checks what arrived, calls `server`, sends the results.
            pub fn serve(server: &impl Server, call: rt::Call) -> rt::Reply {
                match call.method {
                    #(#arms)*
                    _ => Err(Error::BadMethod),
                }
            }
        },
    ]
}

fn declaration(function: &Function) -> TokenStream {
    let docs = function_docs(function);
    let name = ident(&function.name);
    let arguments = function.arguments.iter().map(|item| {
        let name = ident(&item.name);
        let ty = received_type(&item.ty);
        quote!(#name: #ty)
    });
    let results = function.results.iter().map(|item| sent_type(&item.ty));
    let results = tuple(results.collect());
    quote! {
        #docs
        fn #name(&self, caller: ComponentId, #(#arguments),*) -> Result<#results, Error>;
    }
}

fn arm(function: &Function) -> TokenStream {
    let name = ident(&function.name);
    let method = method(function);
    let received = from_words(
        &function.arguments,
        &quote!(call.args),
        &quote!(call.caller),
    );
    let receives: TokenStream = received.iter().map(|r| r.statement.clone()).collect();
    let values = received.iter().map(|r| &r.value);
    let invoke = quote!(server.#name(call.caller, #(#values),*)?);
    if function.results.is_empty() {
        return quote!(#method => { #receives #invoke; Ok([0; 4]) });
    }
    let names = function.results.iter().map(|item| ident(&item.name));
    let names = tuple(names.map(|name| quote!(#name)).collect());
    let sends =
        cbufs(&function.results).map(|name| quote!(let #name = wire::send(&#name, call.caller);));
    let words = to_words(function.results.iter().map(|item| {
        let name = ident(&item.name);
        match item.ty {
            Type::Batch(_) => (&item.ty, quote!(#name.into_wire())),
            _ => (&item.ty, quote!(#name)),
        }
    }));
    quote! {
        #method => {
            #receives
            let #names = #invoke;
            #(#sends)*
            Ok(#words)
        }
    }
}
