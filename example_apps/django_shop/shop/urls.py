"""The addresses of the shop."""

from django.urls import path

from shop import api, pages

urlpatterns = [
    path("health", pages.health, name="health"),
    path("login", pages.sign_in, name="login"),
    path("checkout", pages.checkout, name="checkout"),
    path("orders.csv", pages.export, name="export"),
    path("api/products", api.Products.as_view(), name="products"),
]
