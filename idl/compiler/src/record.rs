//! A struct's Rust form, and how it lies in a batch.

use crate::ast::{Struct, Type};
use crate::layout::Record;
use crate::rust::{docs, ident, scalar};
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

pub fn record(structure: &Struct) -> Vec<TokenStream> {
    let record = Record::of(structure);
    let about = docs(&structure.docs);
    let name = ident(&structure.name);
    let bytes = Literal::usize_unsuffixed(record.bytes);

    let mut fields = Vec::new();
    let mut writes = Vec::new();
    let mut receives = Vec::new();
    let mut places = Vec::new();
    let mut values = Vec::new();
    for (field, offset) in structure.fields.iter().zip(&record.offsets) {
        let about = docs(&field.docs);
        let name = ident(&field.name);
        let offset = Literal::usize_unsuffixed(*offset);
        if let Type::Scalar(ty) = &field.ty {
            let rust = scalar(*ty);
            let put = format_ident!("put_{}", ty.name());
            let get = format_ident!("get_{}", ty.name());
            fields.push(quote!(#about pub #name: #rust));
            writes.push(quote!(wire::#put(record, #offset, self.#name);));
            values.push(quote!(#name: wire::#get(record, #offset)?));
        } else {
            fields.push(quote!(#about pub #name: Option<Cbuf<'static>>));
            writes.push(quote!(wire::put_cbuf(record, #offset, self.#name, to);));
            receives.push(quote!(let #name = wire::get_cbuf(client, sender, record, #offset);));
            places.push(offset);
            values.push(quote!(#name: #name?));
        }
    }
    let (client, sender, to) = match receives.is_empty() {
        true => (quote!(_client), quote!(_sender), quote!(_to)),
        false => (quote!(client), quote!(sender), quote!(to)),
    };

    vec![
        quote! {
            #about
            #[derive(Debug)]
            pub struct #name { #(#fields),* }
        },
        quote! {
            impl Record<'static> for #name {
                const WIRE: usize = #bytes;
                const CBUFS: &'static [usize] = &[#(#places),*];

                fn encode(self, _client: &'static libcbuf::Client, #to: ComponentId, record: &mut [u8]) {
                    #(#writes)*
                }

                fn decode(#client: &'static libcbuf::Client, #sender: ComponentId, record: &[u8]) -> Result<Self, Error> {
                    #(#receives)*
                    Ok(Self { #(#values),* })
                }
            }
        },
    ]
}
