//! The client side: a struct that is bound to the provider, one method a function.

use crate::ast::{Function, Interface, Type};
use crate::rust::{
    from_words, function_docs, ident, method, received_type, sent_type, to_words, tuple,
};
use proc_macro2::TokenStream;
use quote::quote;

pub fn client(interface: &Interface) -> Vec<TokenStream> {
    let about = format!(
        " A binding to the component that provides `{}`.",
        interface.name.text
    );
    let methods = interface.functions.iter().map(stub);
    vec![
        quote! {
            #[doc = #about]
            #[derive(Clone, Copy, Debug)]
            pub struct Client {
                entry: CPtr,
                peer: ComponentId,
            }
        },
        quote! {
            impl Client {
                /// Finds the provider among what this component may invoke; `NotFound` when its
                /// image description does not say so.
                pub fn bind() -> Result<Self, Error> {
                    let import = rt::import(NAME).ok_or(Error::NotFound)?;
                    Ok(Self { entry: import.entry, peer: import.peer })
                }

                /// All providers that this component may invoke.
                pub fn each() -> impl Iterator<Item = Self> {
                    rt::imports(NAME).map(|import| Self { entry: import.entry, peer: import.peer })
                }

                /// The provider: whom a batch for it is made for.
                pub fn peer(&self) -> ComponentId {
                    self.peer
                }

                #(#methods)*
            }
        },
    ]
}

fn stub(function: &Function) -> TokenStream {
    let docs = function_docs(function);
    let name = ident(&function.name);
    let method = method(function);
    let arguments = function.arguments.iter().map(|item| {
        let name = ident(&item.name);
        let ty = match &item.ty {
            Type::Cbuf => quote!(&Cbuf<'static>),
            ty => sent_type(ty),
        };
        quote!(#name: #ty)
    });
    let sends = function.arguments.iter().filter_map(|item| {
        let name = ident(&item.name);
        match &item.ty {
            Type::Cbuf => Some(quote!(let #name = wire::send(#name, self.peer);)),
            Type::Batch(_) => Some(quote!(let #name = #name.into_wire();)),
            _ => None,
        }
    });
    let undo: Vec<_> = function
        .arguments
        .iter()
        .filter_map(|item| {
            let name = ident(&item.name);
            match &item.ty {
                Type::Cbuf => Some(quote!(wire::take_back(#name);)),
                Type::Batch(element) => {
                    let element = ident(element);
                    Some(quote!(wire::take_batch_back::<#element>(#name);))
                }
                _ => None,
            }
        })
        .collect();
    let words = to_words(function.arguments.iter().map(|item| {
        let name = ident(&item.name);
        (&item.ty, quote!(#name))
    }));
    let types = function.results.iter().map(|item| received_type(&item.ty));
    let types = tuple(types.collect());
    let invoke = match &undo[..] {
        [] => quote!(rt::invoke(self.entry, #method, #words)?),
        undo => quote! {
            rt::attempt(self.entry, #method, #words)
                .map_err(|failure| wire::failed(failure, || { #(#undo)* }))?
        },
    };
    let received = from_words(&function.results, &quote!(reply), &quote!(self.peer));
    let body = match &received[..] {
        [] => quote!(#invoke; Ok(())),
        [one] => {
            let result = &one.result;
            quote!(let reply = #invoke; #result)
        }
        several => {
            let statements = several.iter().map(|r| &r.statement);
            let value = tuple(several.iter().map(|r| r.value.clone()).collect());
            quote!(let reply = #invoke; #(#statements)* Ok(#value))
        }
    };
    quote! {
        #docs
        pub fn #name(&self, #(#arguments),*) -> Result<#types, Error> {
            #(#sends)*
            #body
        }
    }
}
