//! Which part of the system answers which path.

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// The content component, by the normal form of the path.
    File,
    /// The CGI component, with the query.
    Cgi,
    /// The server itself: counters as JSON.
    Stats,
}

/// `path` in normal form.
pub fn route(path: &[u8]) -> Route {
    match path {
        b"/cgi" => Route::Cgi,
        b"/stats" => Route::Stats,
        _ => Route::File,
    }
}
