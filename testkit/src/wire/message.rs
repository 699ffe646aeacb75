//! What does a test ask about a message that it read byte by byte?

/// A head as it came: start line, header lines, and the empty line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The exact bytes.
    pub raw: Vec<u8>,
}

impl Head {
    pub(crate) fn new(raw: Vec<u8>) -> Self {
        Self { raw }
    }

    /// The head as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// The request line or status line.
    #[must_use]
    pub fn start_line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// Whether this is a response's head.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.raw.starts_with(b"HTTP/")
    }

    /// A response's status code.
    ///
    /// # Panics
    /// When the start line has none.
    #[must_use]
    pub fn status(&self) -> u16 {
        let line = self.start_line();
        let code = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        code.unwrap_or_else(|| panic!("no status in `{line}`"))
    }

    /// The value of the first header of this name; case does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// The values of all headers of this name, in order; case does not matter.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let named = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim().to_owned()).collect()
    }
}

/// A head with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Start line and headers.
    pub head: Head,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Vec<String>,
}

impl Message {
    /// A response's status code.
    ///
    /// # Panics
    /// When this is no response.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
