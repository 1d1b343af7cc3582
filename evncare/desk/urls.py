from django.urls import path

from evncare.desk import views

urlpatterns = [
    path("health/live/", views.live),
    path("health/ready/", views.ready),
    path("metrics", views.prometheus),
]
