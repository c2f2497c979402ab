//! From interface names to the components that provide them.

use crate::source::ComponentSource;
use crate::{Edge, Known, Problem, Provided};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What `init` provides in every image.
const INIT_PROVIDES: [&str; 2] = ["supervisor", "supervisor_control"];
/// What `init` invokes where the image has it.
const INIT_INVOKES: [&str; 2] = ["sched_control", "cbuf_policy"];

/// Who provides what, by component id.
pub(crate) struct Resolver<'a> {
    components: &'a [ComponentSource],
    known: &'a Known<'a>,
}

impl<'a> Resolver<'a> {
    pub fn new(components: &'a [ComponentSource], known: &'a Known<'a>) -> Self {
        Self { components, known }
    }

    fn number(&self, interface: &str) -> Option<u16> {
        self.known
            .interfaces
            .iter()
            .find(|(name, _)| name == interface)
            .map(|(_, n)| *n)
    }

    fn providers(&self, interface: &str) -> Vec<u16> {
        let provides = |c: &ComponentSource| c.provides.iter().any(|p| p == interface);
        let described = self.components.iter().enumerate();
        let mut ids: Vec<u16> = described
            .filter(|(_, c)| provides(c))
            .map(|(i, _)| i as u16 + 1)
            .collect();
        if ids.is_empty() && INIT_PROVIDES.contains(&interface) {
            ids.push(0);
        }
        ids
    }

    pub fn provides(&self, source: &ComponentSource, out: &mut Vec<Problem>) -> Vec<Provided> {
        let mut done: Vec<Provided> = Vec::new();
        for interface in &source.provides {
            let component = source.name.clone();
            let interface = interface.clone();
            if done.iter().any(|p| p.interface == interface) {
                out.push(Problem::DuplicateProvides {
                    component,
                    interface,
                });
            } else if let Some(number) = self.number(&interface) {
                done.push(Provided { interface, number });
            } else {
                out.push(Problem::UnknownInterface {
                    component,
                    interface,
                });
            }
        }
        done
    }

    pub fn imports(&self, id: u16, source: &ComponentSource, out: &mut Vec<Problem>) -> Vec<Edge> {
        let mut done: Vec<Edge> = Vec::new();
        for wanted in &source.invokes {
            match self.import(id, &source.name, wanted) {
                Ok(edge) if done.contains(&edge) => {
                    let component = source.name.clone();
                    out.push(Problem::DuplicateInvokes {
                        component,
                        interface: edge.interface,
                    });
                }
                Ok(edge) => done.push(edge),
                Err(problem) => out.push(problem),
            }
        }
        done
    }

    fn import(&self, id: u16, name: &str, wanted: &str) -> Result<Edge, Problem> {
        let component = name.to_string();
        let (interface, chosen) = match wanted.split_once('@') {
            Some((interface, provider)) => (interface.to_string(), Some(provider)),
            None => (wanted.to_string(), None),
        };
        let Some(number) = self.number(&interface) else {
            return Err(Problem::UnknownInterface {
                component,
                interface,
            });
        };
        let providers = self.providers(&interface);
        let provider = match (chosen, providers.as_slice()) {
            (Some(chosen), ids) => {
                let provider = chosen.to_string();
                let Some(at) = self.components.iter().position(|c| c.name == chosen) else {
                    return Err(Problem::UnknownProvider {
                        component,
                        interface,
                        provider,
                    });
                };
                let wanted = at as u16 + 1;
                if !ids.contains(&wanted) {
                    return Err(Problem::ProviderLacks {
                        component,
                        interface,
                        provider,
                    });
                }
                wanted
            }
            (None, []) => {
                return Err(Problem::NoProvider {
                    component,
                    interface,
                });
            }
            (None, [one]) => *one,
            (None, ids) => {
                let providers = self.names(ids);
                return Err(Problem::AmbiguousProvider {
                    component,
                    interface,
                    providers,
                });
            }
        };
        if provider == id {
            return Err(Problem::InvokesItself {
                component,
                interface,
            });
        }
        Ok(Edge {
            interface,
            number,
            provider,
        })
    }

    fn names(&self, ids: &[u16]) -> String {
        let name = |id: &u16| format!("`{}`", self.components[usize::from(*id) - 1].name);
        ids.iter().map(name).collect::<Vec<_>>().join(" and ")
    }

    /// Edges of `init`: only where one component provides the interface.
    pub fn init_imports(&self) -> Vec<Edge> {
        let edge = |interface: &&str| match self.providers(interface).as_slice() {
            [provider] => Some(Edge {
                interface: interface.to_string(),
                number: self.number(interface)?,
                provider: *provider,
            }),
            _ => None,
        };
        INIT_INVOKES.iter().filter_map(edge).collect()
    }
}
