"""`make bench`: every comparison, each in one run of one process, as tables."""

from benchmarks import asgi, charge, django_app, dynamodb, flask_app, imports, litestar_quart, processes, server

if __name__ == "__main__":
    charge.main()
    processes.main()
    asgi.main()
    litestar_quart.main()
    server.main()
    django_app.main()
    flask_app.main()
    imports.main()
    dynamodb.main()
