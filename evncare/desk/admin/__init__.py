"""The admin of the desk: customers, looks at data, sign-ins, staff."""

from evncare.desk.admin import customers as customers
from evncare.desk.admin import looks as looks
from evncare.desk.admin import signins as signins
from evncare.desk.admin import staff as staff
