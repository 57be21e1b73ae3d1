"""Every message that crosses a service boundary, one module per owner."""
