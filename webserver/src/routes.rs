//! Which part of the system answers which path.

use crate::platform::Format;

/// Where a choice of policy is taken.
pub const CHOICE: &[u8] = b"/api/policy";

/// Where photographs are taken, for a panorama.
pub const UPLOAD: &[u8] = b"/stitch";

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// The content component, by the normal form of the path.
    File,
    /// The CGI component, with the query.
    Cgi,
    /// The server itself: counters as JSON.
    Stats,
    /// The observer: all figures, in that format.
    Report(Format),
    /// The observer, for a choice: by POST only.
    Choice,
}

/// `path` in normal form.
pub fn route(path: &[u8]) -> Route {
    match path {
        b"/cgi" => Route::Cgi,
        b"/stats" => Route::Stats,
        b"/metrics" => Route::Report(Format::Prometheus),
        b"/api/stats" => Route::Report(Format::Json),
        CHOICE => Route::Choice,
        _ => Route::File,
    }
}
