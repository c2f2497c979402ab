//! The status codes that this server gives, and what it says when it refuses.

/// A status code with its reason phrase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Ok,
    NotModified,
    BadRequest,
    NotFound,
    Forbidden,
    MethodNotAllowed,
    RequestTimeout,
    Conflict,
    LengthRequired,
    ContentTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    ExpectationFailed,
    Unprocessable,
    HeaderFieldsTooLarge,
    InternalError,
    NotImplemented,
    BadGateway,
    Unavailable,
    VersionNotSupported,
    NoStorage,
}

impl Status {
    pub const fn code(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::NotModified => 304,
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict => 409,
            Self::LengthRequired => 411,
            Self::ContentTooLarge => 413,
            Self::UriTooLong => 414,
            Self::UnsupportedMediaType => 415,
            Self::ExpectationFailed => 417,
            Self::Unprocessable => 422,
            Self::HeaderFieldsTooLarge => 431,
            Self::InternalError => 500,
            Self::NotImplemented => 501,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::VersionNotSupported => 505,
            Self::NoStorage => 507,
        }
    }

    /// The start of an answer, up to and with the line's end.
    pub const fn line(self) -> &'static [u8] {
        match self {
            Self::Ok => b"HTTP/1.1 200 OK\r\n",
            Self::NotModified => b"HTTP/1.1 304 Not Modified\r\n",
            Self::BadRequest => b"HTTP/1.1 400 Bad Request\r\n",
            Self::Forbidden => b"HTTP/1.1 403 Forbidden\r\n",
            Self::NotFound => b"HTTP/1.1 404 Not Found\r\n",
            Self::MethodNotAllowed => b"HTTP/1.1 405 Method Not Allowed\r\n",
            Self::RequestTimeout => b"HTTP/1.1 408 Request Timeout\r\n",
            Self::Conflict => b"HTTP/1.1 409 Conflict\r\n",
            Self::LengthRequired => b"HTTP/1.1 411 Length Required\r\n",
            Self::ContentTooLarge => b"HTTP/1.1 413 Content Too Large\r\n",
            Self::UriTooLong => b"HTTP/1.1 414 URI Too Long\r\n",
            Self::UnsupportedMediaType => b"HTTP/1.1 415 Unsupported Media Type\r\n",
            Self::Unprocessable => b"HTTP/1.1 422 Unprocessable Content\r\n",
            Self::NoStorage => b"HTTP/1.1 507 Insufficient Storage\r\n",
            Self::ExpectationFailed => b"HTTP/1.1 417 Expectation Failed\r\n",
            Self::HeaderFieldsTooLarge => b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
            Self::InternalError => b"HTTP/1.1 500 Internal Server Error\r\n",
            Self::NotImplemented => b"HTTP/1.1 501 Not Implemented\r\n",
            Self::BadGateway => b"HTTP/1.1 502 Bad Gateway\r\n",
            Self::Unavailable => b"HTTP/1.1 503 Service Unavailable\r\n",
            Self::VersionNotSupported => b"HTTP/1.1 505 HTTP Version Not Supported\r\n",
        }
    }

    /// The status for a number that a content or CGI component gave; one that they have no
    /// business giving is their failure.
    pub const fn from_component(code: u32) -> Self {
        match code {
            200 => Self::Ok,
            400 => Self::BadRequest,
            404 => Self::NotFound,
            409 => Self::Conflict,
            413 => Self::ContentTooLarge,
            415 => Self::UnsupportedMediaType,
            422 => Self::Unprocessable,
            500 => Self::InternalError,
            503 => Self::Unavailable,
            507 => Self::NoStorage,
            _ => Self::BadGateway,
        }
    }
}

/// Why a request is refused: the status and one sentence, which becomes the answer's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub status: Status,
    pub why: &'static str,
}

impl Refusal {
    pub const fn new(status: Status, why: &'static str) -> Self {
        Self { status, why }
    }
    pub const fn bad(why: &'static str) -> Self {
        Self::new(Status::BadRequest, why)
    }
}

/// For methods that a path does not allow: what it allows, as the field Allow says it.
pub const READ_ONLY: Refusal =
    Refusal::new(Status::MethodNotAllowed, "only GET and HEAD are allowed");
pub const POST_ONLY: Refusal = Refusal::new(Status::MethodNotAllowed, "only POST is allowed");

/// Said where a component is dead, or failed.
pub const NO_ANSWER: Refusal = Refusal::new(
    Status::BadGateway,
    "the component that makes this page did not answer",
);

/// Said wherever memory is short for the moment.
pub const NO_MEMORY: Refusal = Refusal::new(Status::Unavailable, "there is no memory just now");
