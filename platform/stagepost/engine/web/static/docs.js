// Starts Swagger UI on the service's own document. Nothing is asked of any other host.
SwaggerUIBundle({
  url: "/schema/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
});
