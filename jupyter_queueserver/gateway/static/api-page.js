// The page of the HTTP interface: starts Swagger UI, and lets it send requests with the login of this browser.
"use strict";

(() => {
  const page = document.getElementById("api-page");

  const cookie = (name) => {
    const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
    return found === undefined ? undefined : decodeURIComponent(found.slice(name.length + 1));
  };

  // Jupyter takes a cookie login only with its XSRF token. A token that was typed into "Authorize" may come without its scheme.
  const addCredentials = (request) => {
    const typed = (request.headers.Authorization || "").trim();
    if (typed && !/\s/.test(typed)) {
      request.headers.Authorization = `ApiKey ${typed}`;
    }
    const xsrf = cookie("_xsrf");
    if (xsrf !== undefined) {
      request.headers["X-XSRFToken"] = xsrf;
    }
  };

  // No browser sends a body with GET, but many routes take their parameters there.
  const carryBody = (request) => {
    if ((request.method || "GET").toUpperCase() !== "GET" || request.body === undefined) {
      return;
    }
    const text = typeof request.body === "string" ? request.body.trim() : "";
    if (text === "") {
      delete request.body;
    } else {
      request.method = "POST";
      request.headers["X-HTTP-Method-Override"] = "GET";
    }
  };

  window.queueServerPage = window.SwaggerUIBundle({
    domNode: page,
    url: page.dataset.openapi,
    validatorUrl: null,
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    filter: true,
    showMutatedRequest: false,
    syntaxHighlight: { activated: true },
    requestInterceptor: (request) => {
      if (new URL(request.url, document.baseURI).origin === window.location.origin) {
        request.headers = request.headers || {};
        addCredentials(request);
        carryBody(request);
      }
      return request;
    },
  });
})();
